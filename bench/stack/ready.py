"""Whether a deployed system does its job: probe jobs through the whole of it, not an open port."""

import contextlib
import http.client
import json
import queue
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from bench.stack.errors import StackError

PROBE = "probe-"
"""Ids of probe jobs begin with this, so that the journal's reader can leave them out."""
PAUSE = 0.03
"""Seconds between two looks at something that is coming up."""

Check = Callable[[], None]
"""Raises StackError when waiting on is of no use."""


class NotYet(Exception):
    """The system does not do it yet; the message says what it did instead."""


def ask(url: str, method: str, path: str, body: object = None, *, timeout: float, job: str = "") -> Any:
    """Send one request and return the JSON of a 2xx answer. Raises NotYet for everything else."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    headers = {"X-Request-ID": job} if job else {}
    payload = None
    if body is not None:
        payload = json.dumps(body)
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, payload, headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotYet(f"{method} {path}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise NotYet(f"{method} {path} answered {answer.status}: {text[:200].decode(errors='replace')}")
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def run_job(kind: str, url: str, value: object, *, timeout: float) -> None:
    """Carry one job through a system of this kind, from submission to result. Raises NotYet."""
    job = f"{PROBE}{uuid.uuid4().hex}"
    if kind == "queued":
        location = f"/jobs/{ask(url, 'POST', '/jobs', {'input': value}, timeout=timeout, job=job)['id']}"
        _poll(url, location, lambda told: told.get("state"), timeout)
        ask(url, "GET", f"{location}/result", timeout=timeout)
    elif kind == "as_published":
        told = ask(url, "GET", f"/factorial?no={quote(json.dumps(value))}", timeout=timeout, job=job)
        _poll(url, f"/factorial/result?id={told['id']}", lambda told: told.get("status"), timeout)
    else:
        ask(url, "POST", "/run", {"input": value}, timeout=timeout, job=job)


def _poll(url: str, path: str, state: Callable[[dict[str, Any]], Any], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        told = ask(url, "GET", path, timeout=timeout)
        if state(told) == "done":
            return
        if state(told) in ("failed", "error"):
            raise NotYet(f"the probe job failed: {told}")
        time.sleep(PAUSE)
    raise NotYet(f"a job was accepted but had no result after {timeout:.0f} s")


def wait_for(attempt: Callable[[], None], *, what: str, deadline: float, check: Check) -> None:
    """Call `attempt` until it no longer raises NotYet. Raises StackError at the (monotonic) deadline."""
    began = time.monotonic()
    while True:
        check()
        try:
            attempt()
        except NotYet as reason:
            if time.monotonic() > deadline:
                waited = time.monotonic() - began
                raise StackError(f"{what} was not ready after {waited:.0f} s: {reason}.") from None
            time.sleep(PAUSE)
        else:
            return


def run_jobs(
    kind: str, url: str, value: object, count: int, *, timeout: float, check: Check = lambda: None
) -> None:
    """Carry `count` jobs through at the same time. Raises NotYet when one of them fails.

    On daemon threads, not in a pool: Ctrl-C must not wait for an answer that will not come.
    """
    outcomes: queue.SimpleQueue[NotYet | None] = queue.SimpleQueue()

    def one() -> None:
        try:
            run_job(kind, url, value, timeout=timeout)
        except NotYet as reason:
            outcomes.put(reason)
        else:
            outcomes.put(None)

    for _ in range(count):
        threading.Thread(target=one, name="probe", daemon=True).start()
    reasons = [_next(outcomes, check) for _ in range(count)]
    for reason in reasons:
        if reason is not None:
            raise reason


def _next(outcomes: "queue.SimpleQueue[NotYet | None]", check: Check) -> NotYet | None:
    while True:
        try:
            return outcomes.get(timeout=0.2)
        except queue.Empty:
            check()


def probed(journal: Path) -> set[int]:
    """Return the pids that have run a probe job, by the journal."""
    pids: set[int] = set()
    with contextlib.suppress(OSError):
        for line in journal.read_text().splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                row = json.loads(line)
                if row["event"] == "end" and str(row["job"]).startswith(PROBE):
                    pids.add(int(row["pid"]))
    return pids
