"""What the trials of one box share: a Compose project with its network, broker and store, and the caps."""

import contextlib
import os
import secrets
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from bench.plan import Box, Trial
from bench.stack import rabbitmq, redis
from bench.stack.containers.box import ContainerBox, container_box, split
from bench.stack.containers.engine import Engine
from bench.stack.containers.parts import ATTEMPTS, BROKER_PORT, CHANCE, STORE_PORT, published
from bench.stack.containers.project import (
    ENGINE_ERRORS,
    SERVICE,
    Project,
    last_words,
    remove_containers,
    run,
    write_override,
)
from bench.stack.errors import PortTaken, StackError
from bench.stack.ports import LOOPBACK
from bench.stack.ready import NotYet, wait_for
from bench.stack.workspace import Workspace

BOOT_LIMIT = 120.0
"""Seconds for broker and store; the broker's booting is bound by the processor."""
SERVICES = ("broker", "store")
STORE_ROOM = 0.8
"""Share of a store's memory cap that data may take: what exceeds it is refused, where the cap kills."""


class Place:
    """Where trials of one box take place. Close it with everything that it has."""

    def __init__(
        self,
        engine: Engine,
        project: Project,
        workspace: Workspace,
        box: Box,
        labels: dict[str, str],
        *,
        services_in_box: bool,
    ) -> None:
        """`labels`: what every container is marked with."""
        self.engine, self.project, self.labels = engine, project, labels
        self.folder = workspace.folder
        self.queues: set[str] = set()
        """Queues that trials made since the last clearing."""
        self.services: list[Container] = []
        """Broker and store, once they run."""
        self.broker_url = self.store_url = ""
        self._box, self._workspace, self._services_in_box = box, workspace, services_in_box
        self._boxes: dict[bool, ContainerBox] = {}
        self._shares: dict[str, str] = {}
        """CPUs of services that have started with more."""
        # The broker's volume, and with it the password, is there for as long as the project.
        self._password = {name: secrets.token_hex(8) for name in SERVICES}
        self._closing = ExitStack()

    @property
    def service_counts(self) -> dict[str, int]:
        """Containers of broker and store, by service."""
        return dict.fromkeys(SERVICES, 1)

    def box_for(self, trial: Trial) -> ContainerBox:
        """The box of a system: that of broker and store where it uses them, else one of its own."""
        return self._box_of(trial.system.kind in ("queued", "as_published"))

    def start_services(self) -> None:
        """Start broker and store unless they run, in the box if they belong there. Raises StackError."""
        if not (self.services and all(_runs(container) for container in self.services)):
            for attempt in range(1, ATTEMPTS + 1):
                remove_containers(self.services)
                try:
                    self._start_services()
                    break
                except PortTaken:
                    self.services = [c for c in self.project.containers() if c.labels[SERVICE] in SERVICES]
                    if attempt == ATTEMPTS:
                        raise
        # Also of those that run: the last trial may have killed one, which is coming back.
        deadline = time.monotonic() + BOOT_LIMIT
        wait_for(self._answer, what="The broker or the store", deadline=deadline, check=self._check)
        self._limit_cpus()

    def _start_services(self) -> None:
        ports = {"broker": BROKER_PORT, "store": STORE_PORT}
        said: dict[str, dict[str, Any]] = {
            name: {
                "ports": published(ports[name]),
                "labels": self.labels,
                "restart": "always",
                "healthcheck": {"disable": True},
            }
            for name in SERVICES
        }
        if self._services_in_box:
            # A worker more takes the rest, so that shares of broker and store do not depend on the system.
            limits = self._box_of(True).limits({**self.service_counts, "web": 1, "worker": 1})
            said = {name: {**limits[name], **said[name]} for name in SERVICES}
            for name in SERVICES:
                # With its share of a divided box alone the broker would boot for half a minute and more.
                most = said[name]["deploy"]["resources"]["limits"]
                self._shares[name], most["cpus"] = most["cpus"], f"{self._box.cpus:.3f}"
        override = write_override(self.folder / f"services-{secrets.token_hex(2)}.json", said)
        self.project.environment |= {
            **CHANCE,
            "BROKER_USER": "queuebench",
            "BROKER_PASSWORD": self._password["broker"],
            "STORE_PASSWORD": self._password["store"],
            **self._memory(),
        }
        self.project.compose("up", "-d", "--no-deps", "--no-build", *SERVICES, override=override)
        found = {str(c.labels[SERVICE]): c for c in self.project.containers()}
        self.services = [found[name] for name in SERVICES]
        broker, store = (host_port(found[name], ports[name]) for name in SERVICES)
        self.broker_url = f"amqp://queuebench:{self._password['broker']}@{LOOPBACK}:{broker}/%2F"
        self.store_url = f"redis://:{self._password['store']}@{LOOPBACK}:{store}/0"

    def _limit_cpus(self) -> None:
        """Give broker and store, which have booted, their shares of the box's CPU. Raises StackError."""
        for container in self.services:
            share = self._shares.pop(str(container.labels[SERVICE]), None)
            if share is not None:
                code, _, told = run(os.environ, ["docker", "update", "--cpus", share, str(container.id)], 60)
                if code != 0:
                    raise StackError(f"{container.name} can't be capped: {told.strip()[-200:]}.")

    def clear(self) -> None:
        """Delete the queues of past trials and empty the store. Raises StackError."""
        if self.queues:
            rabbitmq.delete_queues(self.broker_url, sorted(self.queues))
            self.queues.clear()
        redis.clear(self.store_url, private=True)

    def _memory(self) -> dict[str, str]:
        """What broker and store are told of their memory, which they would not find out by themselves."""
        if not self._services_in_box or self._box_of(True).parent:
            return {"BROKER_MEMORY": str(self._box.memory), "STORE_MAXMEMORY": "0"}
        shares = split(self._box, {**self.service_counts, "web": 1, "worker": 1})
        room = int(STORE_ROOM * shares["store"].memory)
        return {"BROKER_MEMORY": str(shares["broker"].memory), "STORE_MAXMEMORY": str(room)}

    def keep_logs(self, folder: Path) -> None:
        """Bring the logs of broker and store home."""
        for container in self.services:
            with contextlib.suppress(*ENGINE_ERRORS, OSError):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{container.labels[SERVICE]}.log").write_bytes(container.logs())

    def close(self) -> None:
        """Remove the boxes; the project's containers must be gone."""
        self._closing.close()

    def _box_of(self, queue: bool) -> ContainerBox:
        if queue not in self._boxes:
            self._boxes[queue] = self._closing.enter_context(
                container_box(self.engine, self._box, self._workspace)
            )
        return self._boxes[queue]

    def _answer(self) -> None:
        try:
            redis.check_answers(self.store_url)
            rabbitmq.check_external(self.broker_url, "the container `broker`")
        except StackError as error:
            raise NotYet(error.what) from None

    def _check(self) -> None:
        for container in self.services:
            if not _runs(container):
                told = " / ".join(last_words(container, 8))[-600:]
                raise StackError(f"{container.labels[SERVICE]} did not start. It said: {told}")


def _runs(container: Container) -> bool:
    try:
        container.reload()
    except ENGINE_ERRORS:
        return False
    return bool(container.attrs["State"]["Running"])


def host_port(container: Container, port: int) -> int:
    """Where a container's port is published on this machine. Raises StackError where it is not."""
    found = container.attrs["HostConfig"]["PortBindings"].get(f"{port}/tcp") or [{}]
    # The Compose file may publish it on a port of the engine's choice, too.
    chosen = [int(one["HostPort"]) for one in found if one.get("HostPort") not in (None, "", "0")]
    if not chosen:
        raise StackError(f"{container.name} does not publish its port {port}.")
    return chosen[0]
