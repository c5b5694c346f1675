"""What theory says of a trial, as numbers; how it comes to them is `theory`'s. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.analysis.queueing.model import Model


@dataclass(frozen=True)
class Expected:
    """What theory expects of a trial's window: response times in seconds."""

    model: Model
    percentiles: Mapping[float, float | None]
    """As `latency.Percentiles`: None where too few arrivals, infinity where that share is sent away."""
    mean: float
    """Over those that are not sent away; NaN where all are."""

    def residual(self, measured: float | None, p: float | None = None) -> float | None:
        """Measured over expected, less one; of the mean without a `p`. None where either has no value."""
        expected = self.mean if p is None else self.percentiles.get(p)
        if measured is None or expected is None:
            return None
        whole = math.isfinite(measured) and math.isfinite(expected) and expected > 0
        return measured / expected - 1 if whole else None


@dataclass(frozen=True)
class Line:
    """What theory expects over the load."""

    rates: tuple[float, ...]
    """Arrivals per second."""
    seconds: Mapping[float, tuple[float, ...]]
    """p → response time at each rate; infinite where the gateway sends that share away."""

    @property
    def cut(self) -> bool:
        """Whether a share that is drawn is sent away by the gateway before the line's end."""
        return any(math.isinf(value) for values in self.seconds.values() for value in values)
