"""Finds out how a service that already runs wants to be spoken to."""

from bench.load.answers import Answer
from bench.load.clients import Face
from bench.load.clock import Clock
from bench.load.errors import LoadError
from bench.load.exchange import Connection, Origin

LIMIT = 5.0
"""Seconds in which a service must answer a question as small as these."""
ABSENT = frozenset({404, 405, 501})


def check_answers(origin: Origin) -> None:
    """Raise LoadError, with one line, when nothing speaks HTTP there. Whatever it says is fine."""
    answer = _ask(origin, "GET", "/healthz")
    if not answer.status:
        raise LoadError(f"nothing answers at {origin.url}: {answer.error}")


def find_face(origin: Origin) -> Face:
    """The first of `POST /jobs`, `POST /run`, and the post's two, that the service has.

    No job is started: OPTIONS says which methods a route has; a service that does not answer it is sent an
    empty JSON object, which a route that exists refuses in another way than one that does not.
    Raises LoadError when nothing answers, or has none of them.
    """
    check_answers(origin)
    if _has_post(origin, "/jobs"):
        return "jobs"
    if _has_post(origin, "/run"):
        return "run"
    if _has_get(origin, "/factorial"):
        return "published" if _has_get(origin, "/factorial/result") else "get"
    raise LoadError(
        f"{origin.url} answers, but has no route to send jobs to: Queuebench speaks to POST /run (200 with "
        '{"output": …}) and to POST /jobs (202 with a Location to poll); see the README'
    )


def _has_post(origin: Origin, path: str) -> bool:
    asked = _ask(origin, "OPTIONS", path)
    if "POST" in asked.header("allow"):
        return True
    return asked.status != 404 and _ask(origin, "POST", path, b"{}").status not in ABSENT | {0}


def _has_get(origin: Origin, path: str) -> bool:
    asked = _ask(origin, "OPTIONS", path)
    if "GET" in asked.header("allow"):
        return True
    return asked.status != 404 and _ask(origin, "GET", path).status not in ABSENT | {0}


def _ask(origin: Origin, method: str, path: str, body: bytes = b"") -> Answer:
    connection = Connection(origin, Clock())
    try:
        return connection.exchange(method, path, LIMIT, body, {"X-Request-ID": "probe-face"})
    finally:
        connection.close()
