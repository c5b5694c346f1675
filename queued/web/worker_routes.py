"""The web's routes for workers that have no way to the store: what `Store` does for them, in JSON."""

import json
import math
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request

from queued import problem
from queued.job import BadMessage, Done, Failed, Held, Job, Outcome
from queued.problem import Problem
from queued.settings import Settings
from queued.store import Store
from queued.web.access import UNKNOWN, Access
from queued.web.answers import Answer, as_json
from queued.web.body import read_body

FORMS = {
    "begin": '{"worker": …, "jobs": [messages]}',
    "renew": '{"worker": …, "held": [{"id", "queue", "attempt", "progress", "note"}]}',
    "give-back": '{"held": [{"id", "queue", "attempt"}]}',
    "appear": '{"queue": …, "worker": …, "slots": 1}',
    "vanish": '{"queue": …, "worker": …}',
}
MOST_SLOTS = 100_000
"""One more than a worker may say that it has."""
LONGEST_NOTE = 1_000
"""Characters."""
ENVELOPE = 64
"""How many messages of a worker that are as long as may be are read at once."""


class WorkerRoutes:
    """Each needs a token."""

    def __init__(self, settings: Settings, access: Access, store: Store) -> None:
        self._settings = settings
        self._access = access
        self._store = store

    def register(self, app: Flask) -> None:
        """Add the routes."""
        acts = {
            "begin": self.begin,
            "renew": self.renew,
            "give-back": self.give_back,
            "appear": self.appear,
            "vanish": self.vanish,
        }
        for name, act in acts.items():
            app.add_url_rule(
                f"/worker/{name}",
                f"worker-{name}",
                self._told(name, act),
                methods=["POST"],
            )
        app.add_url_rule("/jobs/<job_id>/result", view_func=self.put_result, methods=["PUT"])

    def begin(self, body: Any) -> Any:
        """POST /worker/begin: attempts start → what to do with each."""
        match body:
            case {"worker": str(worker), "jobs": list(messages)}:
                _unicode(worker)
                jobs = [Job.decode(json.dumps(message).encode()) for message in messages]
                begun = self._store.begin(jobs, worker)
                return {
                    "begun": [
                        {"verdict": one.verdict, "state": one.state, "attempt": one.attempt} for one in begun
                    ]
                }
        return None

    def renew(self, body: Any) -> Any:
        """POST /worker/renew: these attempts live → the state of each job."""
        match body:
            case {"worker": str(worker), "held": list(held)}:
                _unicode(worker)
                return {"states": self._store.renew([_held(one) for one in held], worker)}
        return None

    def give_back(self, body: Any) -> Any:
        """POST /worker/give-back: these attempts were not made."""
        match body:
            case {"held": list(held)}:
                self._store.give_back([_held(one) for one in held])
                return {}
        return None

    def appear(self, body: Any) -> Any:
        """POST /worker/appear: a worker consumes."""
        match body:
            case {"queue": str(queue), "worker": str(worker), "slots": int(slots)} if (
                slots is not True and slots in range(1, MOST_SLOTS)
            ):
                _unicode(queue, worker)
                self._store.appear(queue, worker, slots)
                return {}
        return None

    def vanish(self, body: Any) -> Any:
        """POST /worker/vanish: it does no longer."""
        match body:
            case {"queue": str(queue), "worker": str(worker)}:
                _unicode(queue, worker)
                self._store.vanish(queue, worker)
                return {}
        return None

    def put_result(self, job_id: str) -> Response:
        """PUT /jobs/ID/result?attempt=N&run=S: the output, or problem details → what became of it.

        `retry=1` with a problem: another attempt may help. 404: the job's record is gone; begin it again.
        """
        self._access.check_worker()
        run, attempt = request.args.get("run", type=float), request.args.get("attempt", type=int)
        if run is not None and not (math.isfinite(run) and run >= 0):
            raise _invalid("run must be seconds")  # or it would spoil the mean for good
        data = read_body(self._most)
        # As it is: it may be megabytes, and the worker has encoded it.
        outcome: Outcome = Done(data, run)
        if request.mimetype == problem.MEDIA_TYPE:
            try:
                told = Problem.from_json(json.loads(data))
            except (ValueError, RecursionError) as error:
                raise _invalid(str(error)) from None
            outcome = Failed(told, run, retry=request.args.get("retry") == "1")
        ending = self._store.finish_by_id(job_id, attempt, outcome)
        if ending is None:
            raise Answer(UNKNOWN)
        return as_json({"ending": ending})

    @property
    def _most(self) -> int:
        return self._settings.max_output + self._settings.max_body

    def _told(self, name: str, act: Callable[[Any], Any]) -> Callable[[], Response]:
        def route() -> Response:
            self._access.check_worker()
            # a message may be longer than the submission was: \u… for what was one letter
            most = max(self._most, ENVELOPE * 6 * self._settings.max_body)
            try:
                body = json.loads(read_body(most))
            except (ValueError, RecursionError):
                raise _invalid("the body is not JSON") from None
            try:
                answer = act(body)
            except BadMessage as error:
                raise _invalid(str(error)) from None
            except UnicodeEncodeError:
                raise _invalid("the body holds text that is no Unicode") from None
            if answer is None:
                raise _invalid(f"the body must look like {FORMS[name]}")
            return as_json(answer)

        return route


def _held(told: Any) -> Held:
    match told:
        case {"id": str(job_id), "queue": str(queue), "attempt": int(attempt)}:
            progress, note = told.get("progress"), told.get("note")
            if isinstance(progress, int | float | None) and isinstance(note, str | None):
                _unicode(job_id, queue, note or "")
                return Held(job_id, queue, attempt, progress, note if note is None else note[:LONGEST_NOTE])
    raise _invalid('each of `held` must look like {"id", "queue", "attempt", "progress", "note"}')


def _unicode(*texts: str) -> None:
    """Raise UnicodeEncodeError for half a character, which JSON can carry and no answer could."""
    for text in texts:
        text.encode()


def _invalid(detail: str) -> Answer:
    return Answer(problem.invalid_input(detail))
