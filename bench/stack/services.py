"""RabbitMQ and Redis, kept across the trials of a run and cleared between them."""

import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.plan import Box
from bench.stack import rabbitmq, redis
from bench.stack.box import BoxHandle, open_box
from bench.stack.errors import StackError
from bench.stack.installed import BROKER_VARIABLE, STORE_VARIABLE
from bench.stack.process import Process
from bench.stack.workspace import Workspace

DISK_NEEDED = 200 * 2**20
"""Bytes that must be free before anything is started: RabbitMQ refuses to publish under 50 MB."""


@dataclass
class ServiceSet:
    """One broker and one store: private and running, or somebody's own that were pointed at."""

    broker_url: str
    store_url: str
    broker: rabbitmq.Broker | None
    """None where QUEUEBENCH_BROKER_URL names a running one."""
    store: redis.Store | None
    """None where QUEUEBENCH_STORE_URL names a running one."""
    box: BoxHandle | None
    """The box they are in, which the systems that use them share; None where they stand outside."""
    closing: ExitStack
    queues: set[str] = field(default_factory=set)
    """Queues that trials made since the last clearing."""

    @property
    def processes(self) -> list[Process]:
        """The private processes."""
        broker = self.broker.processes if self.broker else ()
        store = (self.store.process,) if self.store else ()
        return [*broker, *store]

    def clear(self) -> None:
        """Delete the queues of past trials and empty the store. Raises StackError."""
        if self.queues:
            rabbitmq.delete_queues(self.broker_url, sorted(self.queues))
            self.queues.clear()
        redis.clear(self.store_url, private=self.store is not None)

    def close(self) -> None:
        """End the private processes and leave nothing of ours in somebody's own services."""
        if self.broker is None and self.queues:
            rabbitmq.delete_queues(self.broker_url, sorted(self.queues))
        if self.store is None:
            redis.release_external(self.store_url)
        self.closing.close()


class Services:
    """A context manager that starts broker and store when they are first asked for, and keeps them.

    `folder` is the run's: logs go to `folder/logs`. Leaving it ends and removes everything that was started.
    Where QUEUEBENCH_BROKER_URL or QUEUEBENCH_STORE_URL name a running service, that one is used and only what
    Queuebench itself put there is ever deleted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = Workspace()
        """Owns everything that this run starts; whoever starts more may spawn it here too."""
        self._sets: dict[Box | None, ServiceSet] = {}
        self._started = 0

    def __enter__(self) -> Self:
        self.workspace.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def logs(self) -> Path:
        """Where the services' logs are."""
        return self.folder / "logs"

    @property
    def broker_url(self) -> str:
        """AMQP URL of the set that stands outside any box, started when first asked for."""
        return self.acquire(None).broker_url

    @property
    def store_url(self) -> str:
        """Redis URL of the set that stands outside any box, started when first asked for."""
        return self.acquire(None).store_url

    def acquire(self, box: Box | None) -> ServiceSet:
        """Return the broker and store inside a box like this one (None: outside any), started if need be.

        One whose process has died is replaced. Raises StackError.
        """
        there = self._sets.get(box)
        if there is not None and not all(process.running for process in there.processes):
            del self._sets[box]
            there.close()
            there = None
        if there is None:
            there = self._sets[box] = self._start(box)
        return there

    def clear(self) -> None:
        """Clear every set that was started. Raises StackError."""
        for there in self._sets.values():
            there.clear()

    def close(self) -> None:
        """End what was started. Safe to call twice. Raises StackError when something would not go."""
        with ExitStack() as closing:
            closing.callback(self.workspace.close)
            for there in self._sets.values():
                closing.callback(there.close)
            self._sets = {}

    def _start(self, box: Box | None) -> ServiceSet:
        check_disk(self.folder)
        check_disk(self.workspace.folder)
        self._started += 1
        with ExitStack() as opened:
            handle = None
            if box is not None:
                handle = opened.enter_context(open_box(f"services{self._started}", box, self.workspace))
            broker, store = self._boot(handle, opened)
            broker_url = broker.url if broker else os.environ[BROKER_VARIABLE]
            store_url = store.url if store else os.environ[STORE_VARIABLE]
            return ServiceSet(broker_url, store_url, broker, store, handle, opened.pop_all())

    def _boot(
        self, box: BoxHandle | None, opened: ExitStack
    ) -> tuple[rabbitmq.Broker | None, redis.Store | None]:
        """Start what is not pointed at; check what is. Raises StackError."""
        broker_url, store_url = os.environ.get(BROKER_VARIABLE), os.environ.get(STORE_VARIABLE)
        if broker_url:
            rabbitmq.check_external(broker_url, BROKER_VARIABLE)
        if store_url:
            redis.claim_external(store_url, STORE_VARIABLE)
        broker = store = None
        # The store first: it takes a few hundredths of a second, and has failed before RabbitMQ has begun.
        if not store_url:
            store = redis.start(self.workspace, self.logs, box=box, name=f"store-{self._started}")
            opened.callback(self.workspace.end, [store.process])
        if not broker_url:
            memory = box.box.memory if box else None
            name = f"broker-{self._started}"
            broker = rabbitmq.start(self.workspace, self.logs, box=box, memory=memory, name=name)
            opened.callback(self.workspace.end, list(broker.processes))
        return broker, store


def check_disk(folder: Path, needed: int = DISK_NEEDED) -> None:
    """Raise StackError when the disk under `folder` has fewer free bytes than a run needs."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed:
        raise StackError(
            f"The disk under {there} is full: {free / 2**20:.0f} MiB are free, "
            f"{needed / 2**20:.0f} MiB are needed.",
            hint="Free some space, or work in another folder.",
        )
