"""Harnesses that are broken on purpose: what a careless load test does to its records. Pure.

Each stands between records and analysis. The self-test must notice every one of them, else it proves nothing.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import pandas as pd

Defect = Callable[[pd.DataFrame], pd.DataFrame]
"""Jobs as recorded → jobs as a broken harness would have them."""

FAILED = ("rejected", "gateway_timeout", "gave_up", "error", "dropped")


def from_send(jobs: pd.DataFrame) -> pd.DataFrame:
    """Count latency from the send, not from the arrival: a generator that is late hides it."""
    return jobs.assign(arrival=jobs["sent"].where(jobs["sent"].notna(), jobs["arrival"]))


def drops_ignored(jobs: pd.DataFrame) -> pd.DataFrame:
    """Leave out what was not sent, refused or failed: what remains looks well."""
    return jobs[~jobs["outcome"].isin(FAILED)]


def lost_forgotten(jobs: pd.DataFrame) -> pd.DataFrame:
    """Know only jobs that came back."""
    return jobs[jobs["outcome"] != "unfinished"]


DEFECTS: Mapping[str, Defect] = MappingProxyType(
    {"from-send": from_send, "drops-ignored": drops_ignored, "lost-forgotten": lost_forgotten}
)
"""By the name that `--broken` takes."""
