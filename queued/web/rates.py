"""How much one client may submit: a moving window, counted in the store for all web processes together."""

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

from flask import request

from queued import problem
from queued.settings import Settings
from queued.web.answers import Answer

log = logging.getLogger(__name__)

TIMEOUT = 1.0
"""Seconds the store may take to count; then the client is let in."""
PAUSE = 2.0
"""Seconds without counting after the store did not answer: no request waits for it twice."""


class Rates:
    """Counts submissions of each client. Where the store is away nobody is refused for that."""

    def __init__(self, settings: Settings) -> None:
        self._counter: _Counter | None = None
        if settings.rate_limit is not None:
            self._counter = _counter(settings)
        self._off_until = 0.0

    def check(self, caller: str | None) -> None:
        """Count one submission of this API key, or else of this address. Raises Answer (429)."""
        if self._counter is None or time.monotonic() < self._off_until:
            return
        client = f"key:{caller}" if caller is not None else f"address:{request.remote_addr}"
        try:
            wait = self._counter.hit(client)
        except self._counter.errors as error:
            log.warning("submissions are not counted, the store does not answer: %s", type(error).__name__)
            self._off_until = time.monotonic() + PAUSE
            return
        if wait is not None:
            said = f"at most {self._counter.amount} submissions in {self._counter.seconds:g} s"
            raise Answer(problem.too_many_requests(said), {"Retry-After": str(max(1, math.ceil(wait)))})


@dataclass(frozen=True)
class _Counter:
    limiter: Any
    item: Any
    amount: int
    seconds: float
    errors: tuple[type[Exception], ...]

    def hit(self, client: str) -> float | None:
        """Count one; None if it is within the limit, else the seconds until there is room again."""
        if self.limiter.hit(self.item, client):
            return None
        return float(self.limiter.get_window_stats(self.item, client).reset_time) - time.time()


def _counter(settings: Settings) -> _Counter:
    # here, because most services have no limit, and the library is not light
    from limits import RateLimitItemPerSecond
    from limits.errors import StorageError
    from limits.storage import RedisStorage
    from limits.strategies import MovingWindowRateLimiter

    assert settings.rate_limit is not None
    options: dict[str, Any] = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    if settings.ca_file is not None:
        options["ssl_ca_certs"] = settings.ca_file
    storage = RedisStorage(settings.store_url, key_prefix="queued:rate", wrap_exceptions=True, **options)
    rate = settings.rate_limit
    item = RateLimitItemPerSecond(rate.count, max(1, int(rate.seconds)))
    return _Counter(MovingWindowRateLimiter(storage), item, rate.count, rate.seconds, (StorageError,))
