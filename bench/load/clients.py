"""What one user does to get one result, on each of the HTTP faces that systems have.

A client is a function `(job, ask, manner) → outcome`. It asks over one connection of its own, waits between
polls, and leaves in the job what it saw. It never gives up polling: what it does after the deadline is what
tells a late result from a lost one, and whoever runs it (`bench.load.session`) cuts it off in the end.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Any, Literal, Protocol
from urllib.parse import quote

from bench.load import answers
from bench.load.answers import Answer
from bench.load.retries import PASSING, Retries
from bench.load.verifier import Verifier

Face = Literal["run", "get", "jobs", "published"]
"""How a system is spoken to: `POST /run`; the post's blocking `GET /factorial`; `POST /jobs` and polls; the
post's queued `GET /factorial` and polls of `/factorial/result`."""

RequestKind = Literal["run", "submit", "poll", "result"]
Outcome = Literal["ok", "rejected", "gateway_timeout", "gave_up", "error", "wrong", "dropped", "unfinished"]
"""See `bench.records.OUTCOMES`, which this must equal; not imported from there because that needs pandas."""

SHORTEST_PAUSE = 0.01
"""Seconds between two polls of one client at least, whatever the interval: no client polls in a busy loop."""
UNKNOWN_PAUSE = 1.0
"""Seconds between polls, at least, once the server does not know the job any more."""
DONE = frozenset({"done", "completed", "finished", "success"})
"""How a service that is spoken to as the post's may call a job that has its result."""
STILL_RUNNING = frozenset({"processing", "queued", "pending", "running"})


@dataclass(slots=True)
class Job:
    """One job as its client knows it so far. Instants are Unix time in seconds, NaN until they come."""

    id: str
    """Its first attempt's X-Request-ID, and the Idempotency-Key of all of them."""
    phase: str
    arrival: float
    sent: float = nan
    accepted: float = nan
    done: float = nan
    outcome: Outcome = "unfinished"
    status: int = 0
    error: str = ""
    polls: int = 0
    wait: float = nan
    run: float = nan
    attempts: int = 0
    """Submissions so far, the one under way included."""

    @property
    def attempt_id(self) -> str:
        """X-Request-ID of the attempt under way: the job's own, then `.2`, `.3` … behind it.

        The journal tells the runs of one job apart by it; `bench.analysis.tables` finds the job again.
        """
        return self.id if self.attempts <= 1 else f"{self.id}.{self.attempts}"


@dataclass(frozen=True)
class Manner:
    """How a client behaves, the same for all jobs of a load."""

    value: Any
    """The job's input."""
    patience: float
    """Seconds the client waits for any one answer."""
    poll_interval: float
    verifier: Verifier
    prefix: str = ""
    """Path before every route, as in the origin's URL."""
    retries: Retries | None = None
    """Shared by all clients of a load; None: an attempt that fails is the end."""


class Ask(Protocol):
    """One request of a job: sends it, records it, and notes its instants and status in the job."""

    def __call__(self, kind: RequestKind, method: str, path: str, name: str, body: bytes = b"") -> Answer:
        """`name` is the path as Locust's table shows it."""

    def pause(self, seconds: float) -> None:
        """Wait as a user's browser would between two requests."""


Client = Callable[[Job, Ask, Manner], Outcome]


def client_for(face: Face) -> Client:
    """The client that speaks to a face."""
    clients: dict[Face, Client] = {"run": run, "get": get, "jobs": jobs, "published": published}
    return clients[face]


def run(job: Job, ask: Ask, manner: Manner) -> Outcome:
    """Ask for the result and wait for it: `POST /run`."""
    answer = _submitted(job, ask, manner, "run", "POST", "/run", "/run", _input_body(manner))
    return _blocking(job, answer, manner)


def get(job: Job, ask: Ask, manner: Manner) -> Outcome:
    """Ask for the result as the post's blocking server has it: `GET /factorial?no=…`."""
    return _blocking(
        job, _submitted(job, ask, manner, "run", "GET", _post_path(manner), "/factorial"), manner
    )


def jobs(job: Job, ask: Ask, manner: Manner) -> Outcome:
    """Submit by `POST /jobs`, poll `GET /jobs/ID`, then fetch the result."""
    answer = _submitted(job, ask, manner, "submit", "POST", "/jobs", "/jobs", _input_body(manner))
    if not 200 <= answer.status < 300:
        return _refused(job, answer)
    where = answers.path_of(answer.header("location"), manner.prefix) or _job_path(answer)
    if not where:
        return _failed(job, "the submission was accepted without a Location or an id")
    job.accepted = answer.done
    while True:
        ask.pause(_pause(answer, manner))
        answer = ask("poll", "GET", where, "/jobs/[id]")
        if _passing(job, answer):
            continue
        if answer.status != 200:
            return _failed(job, answers.problem(answer.status, answer.body))
        state = _field(answer, "state")
        if state == "done":
            break
        if state not in STILL_RUNNING:
            return _failed(job, _failure(answer, state))
    while True:
        answer = ask("result", "GET", f"{where}/result", "/jobs/[id]/result")
        if answer.status == 200:
            return _delivered(job, answer, manner.verifier.objection(answer.body))
        if not _passing(job, answer) and answer.status != 409:
            return _failed(job, answers.problem(answer.status, answer.body))
        ask.pause(_pause(answer, manner))


def published(job: Job, ask: Ask, manner: Manner) -> Outcome:  # noqa: PLR0911 - one for each way it ends
    """Submit as the post has it, `GET /factorial?no=…`, and poll `/factorial/result?id=ID` for the output."""
    answer = _submitted(job, ask, manner, "submit", "GET", _post_path(manner), "/factorial")
    if not 200 <= answer.status < 300:
        return _refused(job, answer)
    key = _field(answer, "id")
    if not isinstance(key, str | int) or key == "":
        return _failed(job, "the submission was accepted without an id")
    job.accepted = answer.done
    where = f"/factorial/result?id={quote(str(key), safe='')}"
    while True:
        ask.pause(_pause(answer, manner))
        answer = ask("poll", "GET", where, "/factorial/result")
        if _passing(job, answer):
            continue
        if answer.status != 200:
            return _failed(job, answers.problem(answer.status, answer.body))
        if manner.verifier.knows(answer.body):
            return _delivered(job, answer, "")
        document = answers.parse(answer.body)
        if not isinstance(document, dict) or "status" not in document:
            return _failed(job, "the answer to a poll is not a JSON object with a status")
        if document["status"] in STILL_RUNNING:
            continue
        if "output" not in document or document["status"] not in DONE:
            return _failed(job, _failure(answer, document["status"]))
        return _delivered(job, answer, manner.verifier.objection_to(document["output"], answer.body))


def _submitted(
    job: Job,
    ask: Ask,
    manner: Manner,
    kind: RequestKind,
    method: str,
    path: str,
    name: str,
    body: bytes = b"",
) -> Answer:
    """Submit, and again as the retry policy has it; the answer to the last attempt.

    Only submissions are repeated: a job that was told 202 is accepted, and is polled from then on.
    """
    retries = manner.retries
    if retries is not None:
        retries.first()
    while True:
        job.attempts += 1
        answer = ask(kind, method, path, name, body)
        pause = None if retries is None else retries.pause(job.attempts, answer)
        if pause is None:
            return answer
        ask.pause(pause)


def _blocking(job: Job, answer: Answer, manner: Manner) -> Outcome:
    if answer.status != 200:
        return _refused(job, answer)
    job.accepted = answer.done
    return _delivered(job, answer, manner.verifier.objection(answer.body))


def _delivered(job: Job, answer: Answer, objection: str) -> Outcome:
    """A result is here, and verified or not."""
    timing = answers.server_timing(answer.header("server-timing"))
    job.wait = timing.get("wait", nan)
    job.run = timing.get("run", nan)
    job.error = objection[:200]
    return "wrong" if objection else "ok"


def _refused(job: Job, answer: Answer) -> Outcome:
    """What an answer to a submission other than 2xx, or none, makes of the job."""
    job.error = answer.error or answers.problem(answer.status, answer.body)
    if answer.timed_out:
        return "gave_up"
    if answer.status in (429, 503):
        return "rejected"
    return "gateway_timeout" if answer.status == 504 else "error"


def _failed(job: Job, why: str) -> Outcome:
    job.error = why[:200]
    return "error"


def _passing(job: Job, answer: Answer) -> bool:
    """Whether a poll's answer is no reason to stop: the job may yet end well.

    So is 404, for a job that was accepted: if the server has really forgotten it, it stays unfinished to the
    end and is counted lost; if it comes back with the store, the user sees it.
    """
    if answer.status not in PASSING and answer.status != 404:
        job.error = ""
        return False
    job.error = answer.error or answers.problem(answer.status, answer.body)
    return True


def _pause(answer: Answer, manner: Manner) -> float:
    """Seconds to the next poll: the client's interval, or longer where the server asks for it."""
    least = UNKNOWN_PAUSE if answer.status == 404 else SHORTEST_PAUSE
    return max(least, manner.poll_interval, answers.retry_after(answer.header("retry-after")))


def _field(answer: Answer, name: str) -> Any:
    document = answers.parse(answer.body)
    return document.get(name) if isinstance(document, dict) else None


def _failure(answer: Answer, state: Any) -> str:
    """Why a job that the server calls failed failed, as far as it says."""
    if state is None:
        return "the answer to a poll is not a JSON object with a state"
    why = _field(answer, "error") or _field(answer, "detail")
    return f"the server says {state}" + (f": {why}" if why else "")


def _job_path(answer: Answer) -> str:
    key = _field(answer, "id")
    return f"/jobs/{quote(str(key), safe='')}" if isinstance(key, str | int) and key != "" else ""


def _input_body(manner: Manner) -> bytes:
    return json.dumps({"input": manner.value}).encode()


def _post_path(manner: Manner) -> str:
    """The post's route takes the input as text; JSON says what is a number and what is not."""
    return f"/factorial?no={quote(json.dumps(manner.value), safe='')}"
