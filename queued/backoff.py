"""How long to wait before trying again."""

import random
from collections.abc import Iterator


def delays(first: float = 0.1, most: float = 5.0) -> Iterator[float]:
    """Seconds before each next try, without end: doubling, with jitter so that not all come back at once."""
    step = first
    while True:
        yield random.uniform(step / 2, step)
        step = min(step * 2, most)
