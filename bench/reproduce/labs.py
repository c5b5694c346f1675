"""All labs by name."""

from bench.reproduce.alone import ALONE
from bench.reproduce.calls import CALLS
from bench.reproduce.consumers import CRASH, SHARES
from bench.reproduce.lab import Lab

LABS: dict[str, Lab] = {lab.name: lab for lab in (ALONE, SHARES, CRASH, CALLS)}
