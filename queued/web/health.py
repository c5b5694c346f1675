"""Whether this process lives, and whether it can take jobs."""

from flask import Response

from queued.broker import Publisher
from queued.problem import Problem
from queued.store import Store, StoreError
from queued.web import answers
from queued.web.answers import as_json
from queued.web.hub import Hub


class Health:
    """The routes for whoever watches this process; they tell no secret, and ask for none."""

    def __init__(self, publisher: Publisher, store: Store, hub: Hub) -> None:
        self._publisher = publisher
        self._store = store
        self._hub = hub

    def alive(self) -> Response:
        """GET /healthz → 200 while this process answers at all."""
        return as_json({"status": "ok"})

    def ready(self) -> Response:
        """GET /readyz → 200, or 503 and which part it is that keeps this process from taking jobs."""
        checks = (self._broker, self._store_answers, self._staying)
        wrong = [said for check in checks if (said := check()) is not None]
        if not wrong:
            return as_json({"status": "ready"})
        what = Problem(503, "not-ready", "Not ready to take jobs", "; ".join(wrong))
        return answers.as_problem(what, {"Retry-After": "1"})

    def _broker(self) -> str | None:
        if not self._publisher.connected:
            return "the broker can't be reached"
        return self._publisher.blocked

    def _store_answers(self) -> str | None:
        try:
            self._store.ping()
        except StoreError as error:
            return str(error)
        return None

    def _staying(self) -> str | None:
        return "this process is about to end" if self._hub.ending else None
