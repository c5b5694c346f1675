"""factorial: the right digits, and no wrong ones get through, without multiplying again."""

import json
import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads import VerificationError, load_task
from workloads.factorial import digit_counts, residue, residue_of_text


@pytest.fixture(autouse=True)
def _long_numbers():
    """What entry points do."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("n", [0, 1, 2, 5, 20, 449, 3000])
def test_the_result_is_the_factorial_in_decimal_digits(n):
    """As the post computes it."""
    assert load_task("factorial").run(n) == str(math.factorial(n))
    assert load_task("factorial").run({"n": n}) == str(math.factorial(n))


@settings(deadline=None)
@given(st.integers(0, 2_500))
def test_a_right_result_verifies_as_text_and_as_number(n):
    """As our servers send it, and as the published variant does."""
    verify = load_task("factorial").verify
    right = math.factorial(n)
    verify(n, str(right))
    verify(n, str(right))
    verify(n, right)
    verify(n, json.loads(json.dumps(right), parse_int=str))


@settings(deadline=None)
@given(st.integers(0, 1500), st.data())
def test_a_result_with_any_digit_changed_does_not_verify(n, data):
    """Neither at first sight nor against the remembered digest."""
    right = str(math.factorial(n))
    at = data.draw(st.integers(0, len(right) - 1))
    digit = data.draw(st.sampled_from([d for d in "0123456789" if d != right[at]]))
    wrong = right[:at] + digit + right[at + 1 :]
    fresh, warm = load_task("factorial").verify, load_task("factorial").verify
    warm(n, right)
    for verify in (fresh, warm):
        with pytest.raises(VerificationError):
            verify(n, wrong)
        with pytest.raises(VerificationError):
            verify(n, int(wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "12",
        "0120",
        " 120",
        "120\n",
        "1_20",
        "１２０",
        "-120",
        "1e2",
        "\ud800",
        12,
        -120,
        True,
        None,
        120.0,
        ["120"],
    ],
)
def test_what_is_not_the_digits_of_the_result_does_not_verify(wrong):
    """120 is right for 5; forms near to it are not."""
    with pytest.raises(VerificationError):
        load_task("factorial").verify(5, wrong)


def test_one_n_does_not_vouch_for_another():
    """The remembered digest belongs to its n."""
    verify = load_task("factorial").verify
    verify(5, "120")
    with pytest.raises(VerificationError):
        verify(6, "120")
    verify(6, "720")


def test_verifying_works_without_lifting_the_limit_on_digits():
    """The load generator need not change its process for it."""
    digits = str(math.factorial(3000))
    sys.set_int_max_str_digits(4300)
    load_task("factorial").verify(3000, digits)


def test_the_number_of_digits_of_the_posts_own_input_is_known():
    """711,273 digits for n = 150,000, as the post says."""
    assert list(digit_counts(150_000)) == [711_273]
    assert list(digit_counts(0)) == [1]


@settings(deadline=None)
@given(st.integers(0, 4_000))
def test_digits_and_residues_agree_with_real_factorials(n):
    """The two shortcuts that verifying stands on."""
    digits = str(math.factorial(n))
    assert len(digits) in digit_counts(n)
    assert len(digit_counts(n)) <= 2
    assert residue_of_text(digits) == residue(n) == math.factorial(n) % (2**61 - 1)
