"""`factorial`: the blog post's stand-in for a model, by the same naive loop.

The result of n = 150,000 has 711,273 digits. To check one, the number is not computed again: its count of
digits follows from the log-gamma function, and its residue modulo a large prime from n cheap products.

On Python ≥ 3.11 (and 3.10.7+) a number of over 4,300 digits becomes text only after
`sys.set_int_max_str_digits(0)`. That is a process-wide setting, so entry points make it, not this module.
"""

import hashlib
import math
from collections.abc import Callable
from typing import Any

from workloads.inputs import fields, shown, whole
from workloads.task import Task, VerificationError, no_nominal

MAX_N = 1_000_000
"""5,565,709 digits, and most of an hour of multiplying: nobody means more."""
FORM = '150000 or {"n": 150000}'

PRIME = 2**61 - 1
"""Larger than MAX_N, so no factorial is 0 modulo it; a wrong number passes once in 2 × 10¹⁸."""
CHUNK = 4_000
"""Digits turned into a number at a time: below Python's limit on such conversions."""


def task() -> Task:
    """The task `factorial`. Input: n, a whole number. Output: n! in decimal digits, as text."""
    return Task(
        name="factorial",
        run=run,
        check=check,
        verify=verifier(),
        example=20_000,
        probe=1,
        holds_gil=lambda _: True,
        nominal=no_nominal,
    )


def check(value: Any) -> int:
    """Normalise to n. Raises InvalidInput for anything but a whole number from 0 to MAX_N."""
    n = fields(value, FORM, ["n"])["n"] if isinstance(value, dict) else value
    return whole(n, "n of factorial", 0, MAX_N)


def run(value: Any) -> str:
    """n! by multiplying 2 × 3 × … × n, as the post does.

    Raises ValueError for n above about 1,500 where the entry point left Python's limit on digits in place.
    """
    product = 1
    for factor in range(2, check(value) + 1):
        product *= factor
    return str(product)


def verifier() -> Callable[[Any, Any], None]:
    """Make a `verify` that remembers the digest of each n it has found right, so that the next is quick.

    It takes the output as text, or as a number, as the published variant sends it. A client that reads such
    an answer does well to parse it with `json.loads(…, parse_int=str)`: that skips seconds of conversion.
    """
    right: dict[int, str] = {}

    def verify(value: Any, output: Any) -> None:
        """Check digits and residue the first time, the digest after that. Raises VerificationError."""
        n = check(value)
        if isinstance(output, int) and not isinstance(output, bool):
            _verify_number(n, output)
            return
        if not isinstance(output, str):
            raise VerificationError(f"factorial gives decimal digits, not {shown(output)}")
        digest = hashlib.sha256(output.encode(errors="replace")).hexdigest()
        if n in right:
            if digest != right[n]:
                raise VerificationError(f"this is not {n}!: its digest differs from that of the right result")
            return
        _verify_text(n, output)
        right[n] = digest

    return verify


def digit_counts(n: int) -> range:
    """How many digits n! has; two candidates where floating point can't tell, else one."""
    power = math.lgamma(n + 1) / math.log(10)
    slack = 1e-6
    return range(max(0, math.floor(power - slack)) + 1, math.floor(power + slack) + 2)


def residue(n: int) -> int:
    """n! modulo PRIME, without computing n!."""
    product = 1
    for factor in range(2, n + 1):
        product = product * factor % PRIME
    return product


def residue_of_text(digits: str) -> int:
    """Residue modulo PRIME of a number given by its decimal digits."""
    rest = 0
    shift = pow(10, CHUNK, PRIME)
    first = len(digits) % CHUNK
    if first:
        rest = int(digits[:first]) % PRIME
    for at in range(first, len(digits), CHUNK):
        rest = (rest * shift + int(digits[at : at + CHUNK])) % PRIME
    return rest


def _verify_text(n: int, output: str) -> None:
    if not (output.isascii() and output.isdigit()) or output[0] == "0":
        raise VerificationError(f"factorial gives decimal digits, not {shown(output)}")
    expected = digit_counts(n)
    if len(output) not in expected:
        raise VerificationError(f"{n}! has {expected[0]:,} digits, this has {len(output):,}")
    if residue_of_text(output) != residue(n):
        raise VerificationError(f"this has as many digits as {n}! but is another number")


def _verify_number(n: int, output: int) -> None:
    # Bits stand in for digits: counting the digits of a number means the slow conversion to text.
    bits = math.lgamma(n + 1) / math.log(2)
    if (
        output <= 0
        or not bits - 1e-6 <= output.bit_length() <= bits + 1 + 1e-6
        or output % PRIME != residue(n)
    ):
        raise VerificationError(f"this number is not {n}!")
