"""How much the jobs of a trial differ in what they cost. Pure."""

import numpy as np

from bench.analysis.tables import TrialRecords
from bench.analysis.trial.waste import cpu_bound

ENOUGH = 10
"""Executions that a standard deviation takes."""


def variation(records: TrialRecords) -> float:
    """Standard deviation over mean of the executions' CPU time, or of their wall time where the work mostly
    waits; NaN for too few.

    CPU time, because wall time varies with whom a job shares the cores with, and not only with the job.
    """
    runs = records.executions
    whole = (runs.job >= 0) & np.isfinite(runs.end) & runs.ok
    times = (runs.cpu if cpu_bound(records) else runs.end - runs.start)[whole]
    times = times[np.isfinite(times)]
    if len(times) < ENOUGH or not times.mean() > 0:
        return float("nan")
    return float(times.std(ddof=1) / times.mean())
