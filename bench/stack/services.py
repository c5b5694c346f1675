"""RabbitMQ and Redis, kept across the trials of a run and cleared between them."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.plan import Box
from bench.stack import rabbitmq, redis
from bench.stack.errors import StackError
from bench.stack.process import Process, stop_all
from bench.stack.workspace import Workspace

BROKER_VARIABLE = "QUEUEBENCH_BROKER_URL"
STORE_VARIABLE = "QUEUEBENCH_STORE_URL"


@dataclass
class ServiceSet:
    """One broker and one store: private and running, or somebody's own that were pointed at."""

    broker_url: str
    store_url: str
    broker: rabbitmq.Broker | None
    """None where QUEUEBENCH_BROKER_URL names a running one."""
    store: redis.Store | None
    """None where QUEUEBENCH_STORE_URL names a running one."""
    queues: set[str] = field(default_factory=set)
    """Queues that trials made since the last `clear`."""

    @property
    def processes(self) -> list[Process]:
        """The private processes, the ones that a system can't do without first."""
        return [
            *(self.broker.processes if self.broker else ()),
            *((self.store.process,) if self.store else ()),
        ]


class Services:
    """A context manager that starts broker and store when they are first asked for, and keeps them.

    `folder` is the run's: logs go to `folder/logs`. Leaving it ends and removes everything that was started.
    Where QUEUEBENCH_BROKER_URL or QUEUEBENCH_STORE_URL name a running service, that one is used and only what
    Queuebench itself put there is ever deleted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = Workspace()
        self._sets: dict[Box | None, ServiceSet] = {}
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        self._exit.enter_context(self.workspace)
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

        Raises StackError.
        """
        if box not in self._sets:
            self._sets[box] = self._start(box)
        return self._sets[box]

    def clear(self) -> None:
        """Delete the queues of past trials and empty the stores. Raises StackError."""
        for services in self._sets.values():
            if services.queues:
                rabbitmq.delete_queues(services.broker_url, sorted(services.queues))
                services.queues.clear()
            redis.clear(services.store_url, private=services.store is not None)

    def close(self) -> None:
        """End what was started. Safe to call twice."""
        for services in self._sets.values():
            # Nobody needs their data again, so there is nothing to end in good order.
            stop_all(services.processes, grace=0.0)
            if services.store is None:
                redis.release_external(services.store_url)
        self._sets.clear()
        self._exit.close()

    def _start(self, box: Box | None) -> ServiceSet:
        broker_url, store_url = os.environ.get(BROKER_VARIABLE), os.environ.get(STORE_VARIABLE)
        with ThreadPoolExecutor(2) as pool:
            broker = None if broker_url else pool.submit(rabbitmq.start, self.workspace, self.logs)
            store = None if store_url else pool.submit(redis.start, self.workspace, self.logs)
            started_broker = broker.result() if broker else None
            started_store = store.result() if store else None
        if broker_url:
            rabbitmq.check_external(broker_url, BROKER_VARIABLE)
        if store_url:
            redis.claim_external(store_url, STORE_VARIABLE)
        return ServiceSet(
            broker_url=started_broker.url if started_broker else broker_url or "",
            store_url=started_store.url if started_store else store_url or "",
            broker=started_broker,
            store=started_store,
        )


def check_disk(folder: Path, needed: int = 200 * 2**20) -> None:
    """Raise StackError when the disk under `folder` has fewer free bytes than a run needs."""
    import shutil

    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed:
        raise StackError(
            f"The disk under {there} is full: {free / 2**20:.0f} MiB are free, "
            f"{needed / 2**20:.0f} MiB are needed.",
            hint="Free some space.",
        )
