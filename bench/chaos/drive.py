"""The users of a storm: each submits one job, repeats that as a careful user does, and follows it."""

import asyncio
import contextlib
import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.chaos.client import Client, NoReply, Reply, Request
from bench.chaos.face import Face
from bench.chaos.ledger import FINAL, JobRow
from bench.chaos.stream import Order
from bench.chaos.work import answer, given

SUBMIT_PATIENCE = 10.0
"""Seconds a user waits for the answer to a submission before sending it again."""
LOOK_PATIENCE = 5.0
"""Seconds for any other answer, beyond what it was asked to wait."""
PUSH_WAIT = 5.0
"""Seconds that a long-poll asks for."""
FIRST_LOOK, LONGEST_PAUSE = 0.15, 8.0
"""Seconds before the first look at a job, and between two looks at most, unless the service asks for more:
users that ask every second would, after half a minute's outage, be the storm themselves."""
LONGEST_ADVICE = 15.0
"""Seconds of a Retry-After that are heeded at most."""
LONGEST_BACKOFF = 8.0
"""Seconds between two submissions of one job at most."""
GIVE_UP = 300.0
"""Seconds after which a user gives up submitting."""
READ_AGAIN = (1.0, 4.0)
"""Seconds after a job was seen final at which it is read once more."""
READ_PAUSE = 1.0
"""Seconds before a reading that was not answered is tried again."""
READERS = 16
"""Jobs that are read at once when the books are closed."""


@dataclass(frozen=True)
class Counts:
    """How far the users are."""

    due: int
    accepted: int
    ended: int
    submissions: int
    """Sent, repeats included."""


class Users:
    """All users, on one loop in one thread of its own. `start`, watch `counts`, `cut_off`, `close_books`."""

    def __init__(
        self,
        url: str,
        face: Face,
        orders: Sequence[Order],
        markers: Path,
        *,
        seed: int,
        span: float,
        clock: Callable[[], float],
    ) -> None:
        """`markers`: folder for jobs that fail once; `span`: seconds over which they arrive by `clock`.

        Where the clock stands still for a while the rest comes more slowly, so that the stream ends with it.
        """
        parts = urlsplit(url)
        self.rows = [
            JobRow(o.number, f"{seed:x}-{o.number:06d}", o.keyed, o.fails, due=math.inf) for o in orders
        ]
        self._orders = orders
        self._face = face
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._markers = markers
        self._seed = seed
        self._span = span
        self._clock = clock
        self.last_accepted = 0.0
        """Unix time at which a job was last accepted."""
        self._enough: asyncio.Event | None = None
        self._books: asyncio.Event | None = None
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._settled = threading.Event()
        self._closed = threading.Event()
        self._error: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="users", daemon=True)

    def start(self) -> None:
        """Let them begin."""
        self._thread.start()
        self._ready.wait(5)

    def counts(self) -> Counts:
        """How far they are. Raises what broke them, if anything has."""
        if self._error is not None:
            raise self._error
        now = time.time()
        return Counts(
            due=sum(row.due <= now for row in self.rows),
            accepted=sum(row.accepted is not None for row in self.rows),
            ended=sum(row.done is not None for row in self.rows),
            submissions=sum(row.tries for row in self.rows),
        )

    @property
    def settled(self) -> bool:
        """Whether every user has what they came for, or has given up."""
        return self._settled.is_set()

    @property
    def closed(self) -> bool:
        """Whether the books are closed."""
        return self._closed.is_set()

    def cut_off(self) -> None:
        """Let those who still wait go."""
        self._tell(self._enough)

    def close_books(self) -> None:
        """Read every accepted job once more, and then end; watch `closed`."""
        self._tell(self._enough)
        self._tell(self._books)

    def stop(self) -> None:
        """End at once."""
        loop = self._loop
        if loop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._cancel)
            self._thread.join(10)

    def _tell(self, event: asyncio.Event | None) -> None:
        if self._loop is not None and event is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(event.set)

    def _cancel(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    def _run(self) -> None:
        try:
            with contextlib.suppress(asyncio.CancelledError):
                asyncio.run(self._all())
        except BaseException as error:  # noqa: BLE001 - told to whoever asks for the counts
            self._error = error
        finally:
            self._ready.set()
            self._settled.set()
            self._closed.set()

    async def _all(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._enough, self._books = asyncio.Event(), asyncio.Event()
        client = self._client = Client(self._host, self._port)
        self._ready.set()
        try:
            async with asyncio.TaskGroup() as users:
                before = 0.0
                for order, row in zip(self._orders, self.rows, strict=True):
                    if await self._rest(self._until(order.at, before)):
                        break
                    before = order.at
                    row.due = time.time()
                    users.create_task(self._one(order, row))
            self._settled.set()
            await self._books.wait()
            await self._read_all()
        finally:
            client.close()

    def _until(self, at: float, before: float) -> float:
        """Seconds from now to an arrival, where the one before it was due at `before`."""
        clock = self._clock()
        if clock >= at:
            return 0.0
        if clock >= before:
            return at - clock
        return (at - before) * (self._span - clock) / max(1e-3, self._span - before)

    async def _rest(self, seconds: float) -> bool:
        """Wait; True where it is enough."""
        assert self._enough is not None
        if seconds <= 0:
            return self._enough.is_set()
        try:
            async with asyncio.timeout(seconds):
                await self._enough.wait()
        except TimeoutError:
            return False
        return True

    async def _one(self, order: Order, row: JobRow) -> None:
        rng = random.Random(f"user {self._seed} {order.number}")
        key = f"key-{row.request}" if order.keyed else None
        if await self._submit(order, row, key, rng) and await self._follow(order, row):
            await self._take(row)
            if not await self._rest(rng.uniform(*READ_AGAIN)):
                await self._read_again(row)
                if order.repeats:
                    await self._repeat(order, row, key)

    def _value(self, order: Order) -> object:
        marker = str(self._markers / str(order.number)) if order.fails else ""
        return given(order.number, order.spend, marker)

    async def _ask(self, request: Request, patience: float) -> Reply:
        assert self._client is not None
        return await self._client.ask(request, patience)

    async def _submit(self, order: Order, row: JobRow, key: str | None, rng: random.Random) -> bool:
        request = self._face.submission(self._value(order), row.request, key)
        row.sent = time.time()
        pause = 0.25
        while True:
            row.tries += 1
            asked, wait = time.time(), pause
            try:
                reply = await self._ask(request, SUBMIT_PATIENCE)
            except NoReply:
                why = "no answer"
            else:
                job = self._face.accepted(reply)
                if job is not None:
                    row.asked, row.accepted, row.id = asked, time.time(), job
                    self.last_accepted = row.accepted
                    return True
                why = str(reply.status)
                if reply.status < 500 and reply.status not in (408, 425, 429):
                    row.refusals[why] = row.refusals.get(why, 0) + 1
                    row.problem = reply.body[:300].decode(errors="replace")
                    return False
                wait = max(pause, _advice(reply))
            row.refusals[why] = row.refusals.get(why, 0) + 1
            pause = min(LONGEST_BACKOFF, pause * 2)
            if time.time() - row.sent > GIVE_UP or await self._rest(wait * rng.uniform(0.5, 1.5)):
                return False

    async def _follow(self, order: Order, row: JobRow) -> bool:
        """Ask until it has ended; False where that was not seen."""
        wait = PUSH_WAIT if order.push else 0.0
        pause, advice = FIRST_LOOK, 0.0
        while not await self._rest(max(pause, advice)):
            row.polls += 1
            advice = 0.0
            with contextlib.suppress(NoReply):
                reply = await self._ask(self._face.look(row.id, wait), LOOK_PATIENCE + wait)
                row.unknown += reply.status == 404
                seen = self._face.seen(reply)
                if seen is not None:
                    row.state = seen.state
                    if seen.state in FINAL:
                        row.done, row.stamp, row.problem = time.time(), seen.stamp, seen.problem
                        return True
                advice = _advice(reply)
            pause = min(LONGEST_PAUSE, pause * 2)
        return False

    async def _take(self, row: JobRow) -> None:
        """Fetch and check the result."""
        pause = FIRST_LOOK
        while row.state == "done":
            with contextlib.suppress(NoReply):
                told = self._face.given(await self._ask(self._face.fetch(row.id), LOOK_PATIENCE))
                if told is not None:
                    row.digest, row.right = told.digest, told.output == answer(row.number)
                    return
            if await self._rest(pause):
                return
            pause = min(LONGEST_PAUSE, pause * 1.5)

    async def _repeat(self, order: Order, row: JobRow, key: str | None) -> None:
        """Submit it once more with the same key: the first job must be given."""
        with contextlib.suppress(NoReply):
            request = self._face.submission(self._value(order), row.request, key)
            job = self._face.accepted(await self._ask(request, SUBMIT_PATIENCE))
            if job is not None and job != row.id:
                row.another = job

    async def _read_again(self, row: JobRow, tries: int = 1) -> None:
        """Read a job that was seen final, and note the first difference."""
        for attempt in range(tries):
            if attempt:
                await asyncio.sleep(READ_PAUSE)
            with contextlib.suppress(NoReply):
                reply = await self._ask(self._face.look(row.id, 0), LOOK_PATIENCE)
                seen = self._face.seen(reply)
                if reply.status == 404 or (seen is not None and seen.state not in ("", row.state)):
                    row.changed = row.changed or f"{row.state} → {seen.state if seen else 'unknown'}"
                if seen is None:
                    continue
                if row.stamp is not None and seen.stamp != row.stamp:
                    row.changed = row.changed or f"finished {row.stamp} → {seen.stamp}"
                if row.state == "done":
                    told = self._face.given(await self._ask(self._face.fetch(row.id), LOOK_PATIENCE))
                    if told is None:
                        continue
                    if not row.digest:
                        row.digest, row.right = told.digest, told.output == answer(row.number)
                    elif told.digest != row.digest:
                        row.changed = row.changed or f"result {row.digest} → {told.digest}"
                row.readings += 1
                return

    async def _read_all(self) -> None:
        """Close the books: the last word on every accepted job."""
        left = iter([row for row in self.rows if row.accepted is not None])

        async def reader() -> None:
            for row in left:
                if row.done is not None:
                    await self._read_again(row, tries=5)
                else:
                    await self._last_look(row)

        async with asyncio.TaskGroup() as readers:
            for _ in range(READERS):
                readers.create_task(reader())

    async def _last_look(self, row: JobRow) -> None:
        """Of a job that was given up: perhaps it has ended after all; else what the service says of it."""
        for _ in range(5):
            with contextlib.suppress(NoReply):
                reply = await self._ask(self._face.look(row.id, 0), LOOK_PATIENCE)
                seen = self._face.seen(reply)
                if reply.status == 404:
                    row.state = "unknown"
                    return
                if seen is not None:
                    row.state, row.stamp, row.problem = seen.state, seen.stamp, seen.problem
                    if seen.state in FINAL:
                        row.done = time.time()
                        await self._take(row)
                    return
            await asyncio.sleep(READ_PAUSE)


def _advice(reply: Reply) -> float:
    """The seconds that a Retry-After asks for; 0 without one."""
    try:
        return min(LONGEST_ADVICE, float(reply.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0
