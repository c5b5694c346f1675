"""How many calls a client makes until it has its result: by polling, and over a WebSocket."""

import http.client
import json
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import fmean
from urllib.parse import urlsplit

from simple_websocket import Client, ConnectionClosed
from simple_websocket.errors import SimpleWebsocketError

from bench.plan import Load, Trial, Work
from bench.reproduce.lab import Figures, Lab, Place
from bench.stack.deploy import deployment
from bench.stack.errors import StackError
from bench.stack.systems import SYSTEMS

JOBS, SERVICE = 10, 0.5
"""A burst of so many jobs of so many seconds of CPU each."""
INTERVAL = SERVICE / 2
"""Seconds between polls: the post asks every 5 s for what takes 10."""
LIMIT = 60.0
"""Seconds in which the burst must be worked off."""
VALUE = {"seconds": SERVICE, "gil": "held"}


@dataclass(frozen=True)
class Seen:
    """What one client needed for its result."""

    calls: int
    """HTTP requests; the opening of a WebSocket is one."""
    frames: int = 0
    """Messages over the WebSocket."""


def calls(place: Place) -> Figures:
    """A burst worked off by `queued`, once watched by polling clients, once by clients with a WebSocket."""
    found: dict[str, float] = {}
    trial = _trial(place)
    with deployment(
        trial, services=place.services, folder=place.folder, journal=place.folder / "calls.jsonl"
    ) as deployed:
        for name, client in (("polling", polling), ("websocket", websocket)):
            place.say(f"{JOBS} clients, {name}")
            seen = _burst(client, deployed.base_url)
            found[f"calls_{name}"] = fmean(s.calls for s in seen) if seen else math.nan
            found[f"frames_{name}"] = fmean(s.frames for s in seen) if seen else math.nan
    found["calls_saved"] = found["calls_polling"] / found["calls_websocket"]
    return found


def polling(url: str) -> Seen:
    """Submit, ask every INTERVAL seconds, fetch."""
    made = _Asking(url)
    where = made.submit()
    deadline = time.monotonic() + LIMIT
    while made.get(where)["state"] not in ("done", "failed"):
        if time.monotonic() > deadline:
            raise StackError(f"A job of {SERVICE:g} s was not done within {LIMIT:.0f} s.")
        time.sleep(INTERVAL)
    made.get(f"{where}/result")
    return Seen(made.calls)


def websocket(url: str) -> Seen:
    """Submit, listen until the end is told, fetch."""
    made = _Asking(url)
    where = made.submit()
    frames = 0
    try:
        socket = Client(f"{url.replace('http', 'ws', 1)}{where}/socket")
    except (SimpleWebsocketError, OSError) as error:
        raise StackError(f"A WebSocket could not be opened: {error}.") from None
    try:
        while (told := socket.receive(timeout=LIMIT)) is not None:
            frames += 1
            if json.loads(told)["event"] == "end":
                break
        else:
            raise StackError(f"A WebSocket said nothing for {LIMIT:.0f} s.")
    except (ConnectionClosed, OSError) as error:
        raise StackError(f"A WebSocket was closed before the job had ended: {error}.") from None
    finally:
        with suppress(ConnectionClosed, OSError):  # the server may have been quicker
            socket.close()
    made.get(f"{where}/result")
    return Seen(made.calls + 1, frames)


class _Asking:
    """One client's requests, counted."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc
        self.calls = 0

    def submit(self) -> str:
        """Path of the new job."""
        body = json.dumps({"input": VALUE})
        return f"/jobs/{self._ask('POST', '/jobs', body)['id']}"

    def get(self, path: str) -> dict[str, str]:
        """What the server says."""
        return self._ask("GET", path, None)

    def _ask(self, method: str, path: str, body: str | None) -> dict[str, str]:
        self.calls += 1
        connection = http.client.HTTPConnection(self._host, timeout=LIMIT)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise StackError(f"{method} {path} was not answered: {error}.") from None
        finally:
            connection.close()
        if response.status >= 400:
            raise StackError(f"{method} {path} was answered with {response.status}.")
        try:
            told: dict[str, str] = json.loads(text)
        except ValueError:
            raise StackError(f"{method} {path} was answered with what is no JSON.") from None
        return told


def _burst(client: Callable[[str], Seen], url: str) -> Sequence[Seen]:
    pool = ThreadPoolExecutor(JOBS)
    try:
        return list(pool.map(client, [url] * JOBS))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # on Ctrl-C their server ends, and so they do


def _trial(place: Place) -> Trial:
    return Trial(
        id="calls",
        part="calls",
        shows="burst",
        system=replace(SYSTEMS["queued"], workers=2),
        work=Work("spin", VALUE, SERVICE, SERVICE),
        load=Load("burst", size=JOBS, window=0.0),
        box=place.box,
        deadline=LIMIT,
        gateway_timeout=LIMIT,
        poll_interval=INTERVAL,
        drain_limit=LIMIT,
        repeat=1,
        seed=1,
        capacity=min(2, place.box.cpus) / SERVICE,
    )


CALLS = Lab(
    "calls",
    "Network calls until a result is there, by polling and by WebSocket",
    ("calls_polling", "frames_polling", "calls_websocket", "frames_websocket", "calls_saved"),
    calls,
    seconds=12.0,
    repeats=1,
)
