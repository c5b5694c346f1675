"""Tells a submitter's server that a job has ended: a signed POST, tried again for about a day.

Signed by the Standard Webhooks scheme (https://www.standardwebhooks.com, its specification 1.0.0, "Signature
scheme"), so that a receiver can check it with a ready-made library. Where a webhook may go is the operator's
list of hosts and nothing else: without it anybody could have this server call an address inside its network.
"""

import base64
import binascii
import hashlib
import hmac
import http.client
import logging
import math
import random
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from queued import parse
from queued.compact import compact
from queued.errors import QueuedError
from queued.job import State
from queued.problem import Problem
from queued.settings import Settings
from queued.store import Hook, Store, StoreError

log = logging.getLogger(__name__)

TIMEOUT = 10.0
"""Seconds for one delivery, all in all."""
FIRST, MOST = 5.0, 7_200.0
"""Seconds before the second try, and most between two; doubling in between."""
MAX_TRIES = 22
"""With the delays above: about 21 hours."""
PARALLEL = 8
"""Deliveries at the same time."""
PARALLEL_TO_ONE = 2
"""Of these, to one host: a slow one leaves the others their turn."""
BUSY = 1.0
"""Seconds for which a webhook steps aside whose host has its deliveries in hand."""
PAUSE = 1.0
"""Seconds between two looks for what is due."""
MAX_URL = 2_048
GOOD = range(200, 300)
GONE = 410
"""The receiver says: never again."""

PORTS = {"https": 443, "http": 80}


class BadCallback(QueuedError):
    """The address is not one that this service sends webhooks to."""


class BadSecret(QueuedError):
    """The secret that webhooks are to be signed with can't be used."""


def check(url: str, settings: Settings) -> None:
    """Insist that webhooks may go to this address. Raises BadCallback with one line for the client.

    https, unless the operator's entry for the host begins with `http://`; the host as the entry has it, or
    below it where the entry is `*.example.org`; the port as the entry has it, else the scheme's own.
    """
    if not settings.webhook_hosts or not settings.webhook_secret:
        raise BadCallback("this service sends no webhooks")
    # Python's own reader of addresses skips tabs and newlines: what it sees is not what was given.
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise BadCallback(f"the callback must be at most {MAX_URL:,} printable ASCII characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadCallback("the callback is not a usable address") from None
    if parts.scheme not in PORTS or not host:
        raise BadCallback("the callback must look like https://host/path")
    if "@" in parts.netloc or "#" in url:
        raise BadCallback("the callback must hold no user, password or fragment")
    target = _Place(parts.scheme, host, PORTS[parts.scheme] if port is None else port)
    if not any(_covers(_place(entry), target) for entry in settings.webhook_hosts):
        raise BadCallback("webhooks may not go to this host, port or scheme here")


def sign(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature`: one signature for each secret, so that they can be changed."""
    content = f"{message_id}.{timestamp}.".encode() + body
    macs = (hmac.new(secret, content, hashlib.sha256).digest() for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)


def secrets_of(text: str) -> tuple[bytes, ...]:
    """Read a comma list of secrets: `whsec_` and base64 as the scheme writes them, or plain text.

    Raises BadSecret.
    """
    return tuple(_secret(word) for word in parse.words(text))


def delay(tries: int) -> float:
    """Seconds to wait after so many tries, with jitter so that not all come back at once."""
    return float(min(MOST, FIRST * 2 ** min(tries - 1, 30)) * random.uniform(0.75, 1.25))


class Webhooks:
    """Delivers what is due, in threads of its own. Several processes may do so side by side."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """Start nothing yet. Raises BadSecret."""
        self._settings = settings
        self._store = store
        self._secrets = secrets_of(settings.webhook_secret or "")
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._in_hand: dict[str, str] = {}
        """Job id → host, of the deliveries that this process makes now."""
        self._sender = _Sender(settings.ca_file)

    def start(self) -> None:
        """Begin to deliver; nothing to do where the settings allow no host."""
        if self._thread is not None or not self._settings.webhook_hosts or not self._secrets:
            return
        self._pool = ThreadPoolExecutor(PARALLEL, "webhook")
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End within about the time of one delivery; what is not delivered stays due."""
        if self._thread is None or self._pool is None:
            return
        self._stopping.set()
        self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._thread = None

    def _run(self) -> None:
        while not self._stopping.wait(PAUSE):
            try:
                self._round()
            except StoreError as error:
                log.warning("webhooks: %s", error)
            except Exception:
                log.exception("webhooks: this round failed")

    def _round(self) -> None:
        """Hand what is due to the threads, as far as there is room."""
        assert self._pool is not None
        with self._lock:
            room = PARALLEL - len(self._in_hand)
        if room <= 0:
            return
        for hook in self._store.hooks_due(room):
            host = urlsplit(hook.url).netloc
            with self._lock:
                if hook.job_id in self._in_hand:
                    continue
                busy = Counter(self._in_hand.values())[host] >= PARALLEL_TO_ONE
                if not busy:
                    self._in_hand[hook.job_id] = host
            if busy:
                # Out of the way of those behind it; this was no try.
                self._store.hook_later(hook.job_id, time.time() + BUSY, hook.tries)
            else:
                self._pool.submit(self._deliver, hook)

    def _deliver(self, hook: Hook) -> None:
        try:
            self._settle(hook)
        except StoreError as error:
            # Due again by itself: the receiver knows a webhook that comes twice by its id.
            log.warning("webhooks: %s", error, extra={"job": hook.job_id})
        except Exception:
            log.exception("webhooks: a delivery failed", extra={"job": hook.job_id})
        finally:
            with self._lock:
                self._in_hand.pop(hook.job_id, None)

    def _settle(self, hook: Hook) -> None:
        """Try once, and note what is to become of the webhook."""
        more = {"job": hook.job_id}
        host = urlsplit(hook.url).hostname  # never the rest: it may hold the receiver's own secret
        try:
            check(hook.url, self._settings)  # the settings may have changed since it was accepted
        except BadCallback as error:
            log.warning("webhook to %s is given up: %s", host, error, extra=more)
            return self._store.hook_done(hook.job_id)
        # The record may have expired before the receiver took its webhook: the end is told all the same.
        record = self._store.record(hook.job_id) if hook.state is State.FAILED else None
        body = _body(hook, None if record is None else record.problem)
        said = self._sender.post(hook.url, hook.job_id, body, self._secrets)
        tries = hook.tries + 1
        if said.status in GOOD or said.status == GONE or tries >= MAX_TRIES:
            if said.status not in GOOD:
                log.warning("webhook to %s is given up, try %d: %s", host, tries, said.words, extra=more)
            return self._store.hook_done(hook.job_id)
        log.info("webhook to %s failed, try %d: %s", host, tries, said.words, extra=more)
        wait = max(delay(tries), min(said.retry_after, MOST))
        return self._store.hook_later(hook.job_id, time.time() + wait, tries)


@dataclass(frozen=True)
class _Place:
    """A scheme, host and port that webhooks may go to, or that one is to go to."""

    scheme: str
    host: str
    port: int


def _place(entry: str) -> _Place:
    parts = urlsplit(entry if "://" in entry else f"https://{entry}")
    return _Place(parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme])


def _covers(entry: _Place, target: _Place) -> bool:
    if (entry.scheme, entry.port) != (target.scheme, target.port):
        return False
    if entry.host.startswith("*."):
        return target.host.endswith(entry.host[1:])
    return target.host == entry.host


def _secret(word: str) -> bytes:
    if not word.startswith("whsec_"):
        return word.encode()
    try:
        return base64.b64decode(word.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise BadSecret("QUEUED_WEBHOOK_SECRET: what follows whsec_ must be base64") from None


def _body(hook: Hook, problem: Problem | None) -> bytes:
    said: dict[str, Any] = {"id": hook.job_id, "state": hook.state, "finished": hook.finished}
    if problem is not None:
        said["problem"] = problem.to_json()
    return compact(said).encode()


@dataclass(frozen=True)
class _Said:
    """What the receiver answered; status 0: nothing."""

    status: int
    words: str
    retry_after: float = 0.0


class _Sender:
    """HTTP, as far as a webhook needs it: no redirect is followed, and no body of an answer is read."""

    def __init__(self, ca_file: str | None) -> None:
        self._context = ssl.create_default_context()
        if ca_file is not None:
            self._context.load_verify_locations(ca_file)

    def post(self, url: str, message_id: str, body: bytes, secrets: Sequence[bytes]) -> _Said:
        """Send one webhook. Never raises for what the receiver does or does not do."""
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "queued-webhooks",
            "Connection": "close",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secrets, message_id, timestamp, body),
        }
        parts = urlsplit(url)
        connection = self._connection(parts)
        # The socket's own time-out begins anew with every byte: a receiver that sends one at a time would
        # keep a thread for hours.
        cut = threading.Timer(TIMEOUT, _cut, (connection,))
        cut.daemon = True
        cut.start()
        try:
            target = parts.path or "/"
            connection.request("POST", f"{target}?{parts.query}" if parts.query else target, body, headers)
            response = connection.getresponse()
            return _Said(response.status, f"status {response.status}", _seconds(response))
        except (OSError, http.client.HTTPException, ValueError) as error:
            return _Said(0, type(error).__name__)
        finally:
            cut.cancel()
            connection.close()

    def _connection(self, parts: SplitResult) -> http.client.HTTPConnection:
        assert parts.hostname is not None
        if parts.scheme == "https":
            return http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=TIMEOUT, context=self._context
            )
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)


def _cut(connection: http.client.HTTPConnection) -> None:
    sock: socket.socket | None = connection.sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _seconds(response: http.client.HTTPResponse) -> float:
    """The advice when to come again, where it is a plain number."""
    try:
        seconds = float(response.headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
