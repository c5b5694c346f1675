"""Where a storm takes place: one system with a broker and a store of its own, all of which can be struck.

Unlike a trial's deployment it stands in no box, keeps its services for itself alone, and lets web and workers
reach the broker through proxies that can be cut. Whatever dies is started again after a second.
"""

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil

from bench.chaos.proxy import Proxy
from bench.environment import usable_cores
from bench.plan import Box, Load, System, Trial, Work
from bench.stack import nginx, rabbitmq, redis
from bench.stack.box import BoxHandle
from bench.stack.deploy import DEPLOYMENT
from bench.stack.errors import PortTaken, StackError, log_says
from bench.stack.ports import LOOPBACK, TAKEN, accepts, free_ports
from bench.stack.process import Command, Process, ending
from bench.stack.ready import ask, run_jobs, wait_for
from bench.stack.services import check_disk
from bench.stack.supervise import Supervisor
from bench.stack.sweep import marked
from bench.stack.systems import Settings, commands, queue_name
from bench.stack.workspace import Workspace

READY_LIMIT = 60.0
"""Seconds that web and workers may take to carry a job through."""
PROBE_LIMIT = 10.0
"""Seconds for one probe job."""
AGE = 1.0
"""Seconds that a process must have lived before it is struck: a stillborn one proves nothing."""

Build = Callable[[Settings], list[Command]]
"""Makes the commands of a system, web and workers."""


@dataclass(frozen=True)
class Site:
    """What is to be brought up."""

    kind: str
    """How it is spoken to: `queued`, `as_published`."""
    build: Build
    folder: Path
    """For logs, journal, markers."""
    probe: Any
    """Input of a job that shows that it works."""
    workers: int
    environment: Mapping[str, str] = field(default_factory=dict)
    """More variables for web and workers."""
    store_config: str = "appendfsync always\n"
    """More lines of redis.conf: the queue's promise needs this one."""
    broker_config: str = ""
    """More lines of rabbitmq.conf."""
    gateway_timeout: float = 20.0
    """Seconds."""


class Ground:
    """A system that is up, with handles on everything in it. Made by `ground`."""

    def __init__(
        self,
        site: Site,
        url: str,
        direct_url: str,
        broker: rabbitmq.Broker,
        store: redis.Store,
        own: Sequence[Process],
        proxies: Mapping[str, Proxy],
        seams: Path,
        supervisor: Supervisor,
    ) -> None:
        self.site = site
        self.url = url
        """The gateway."""
        self.direct_url = direct_url
        self.broker = broker
        self.store = store
        self.proxies = proxies
        """`worker` and `web` → their way to the broker."""
        self.seams = seams
        """Folder in which a file of a seam's name kills who comes by."""
        self._own = own
        self._supervisor = supervisor

    @property
    def processes(self) -> list[Process]:
        """Everything that was started, services included."""
        return [*self._own, *self.broker.processes, self.store.process]

    def process(self, role: str, number: int = 0) -> Process:
        """One process by role; workers are numbered from 0."""
        return [p for p in self.processes if p.role == role][number]

    def events(self) -> list[dict[str, Any]]:
        """What died and was started again, as rows of EVENTS without the trial."""
        return self._supervisor.events()

    def up(self, role: str, number: int = 0) -> bool:
        """Whether a process is there to be struck: it lives, has lived for a moment, and serves."""
        process = self.process(role, number)
        if not process.running or self.age(process) < AGE:
            return False
        port = {
            "broker": self.broker.port,
            "store": self.store.port,
            "web": urlsplit(self.direct_url).port,
            "gateway": urlsplit(self.url).port,
        }.get(role)
        return port is None or accepts(port, 0.2)

    @staticmethod
    def age(process: Process) -> float:
        """Seconds since it was started."""
        try:
            return time.time() - psutil.Process(process.pid).create_time()
        except psutil.Error:
            return 0.0

    def kill(self, role: str, number: int = 0) -> int:
        """SIGKILL; returns the pid. Gateway and web go with their children, which would serve on a while."""
        process = self.process(role, number)
        pid = process.pid
        with contextlib.suppress(ProcessLookupError):
            if role in ("gateway", "web"):
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
        return pid

    def freeze(self, role: str, number: int = 0) -> list[int]:
        """SIGSTOP to a process and all below it, as a machine that hangs; returns the pids for `thaw`."""
        pid = self.process(role, number).pid
        pids = [pid]
        with contextlib.suppress(psutil.Error):
            pids += [child.pid for child in psutil.Process(pid).children(recursive=True)]
        _signal(pids, signal.SIGSTOP)
        return pids

    @staticmethod
    def thaw(pids: Sequence[int]) -> None:
        """SIGCONT."""
        _signal(pids, signal.SIGCONT)

    def keys(self) -> int | None:
        """How many keys the store has; None where it does not answer."""
        with contextlib.suppress(Exception), redis.connect(self.store.url) as client:
            return int(client.dbsize())
        return None


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def trial_of(system: System, *, task: str, probe: Any, gateway_timeout: float = 20.0) -> Trial:
    """What `bench.stack.systems` wants to know of a system: its task and settings, no load."""
    return Trial(
        id=f"chaos-{system.name}",
        part="chaos",
        shows="load",
        system=system,
        work=Work(task, probe, service_time=0.05, cpu_time=0.001),
        load=Load("constant"),
        box=Box(float(usable_cores()), 2**31),
        deadline=gateway_timeout,
        gateway_timeout=gateway_timeout,
        poll_interval=0.1,
        drain_limit=0.0,
        repeat=1,
        seed=1,
        capacity=0.0,
    )


def build_of(system: System, trial: Trial) -> Build:
    """The commands of a system that the harness knows."""
    return lambda settings: commands(replace(trial, system=system), settings)


@contextlib.contextmanager
def ground(site: Site, *, queue: str | None = None) -> Iterator[Ground]:
    """Bring it up, and down with everything in it. Raises StackError with a log's tail."""
    check_disk(site.folder)
    logs = site.folder / "logs"
    seams = site.folder / "seams"
    seams.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        workspace = stack.enter_context(Workspace())
        store = redis.start(workspace, logs, extra_config=site.store_config)
        broker = rabbitmq.start(workspace, logs, extra_config=site.broker_config)
        proxies = {role: stack.enter_context(Proxy(broker.port)) for role in ("worker", "web")}
        box = BoxHandle("chaos", Box(float(usable_cores()), 2**31), "none", None)
        mark = secrets.token_hex(4)
        own: list[Process] = []
        for attempt in range(3):
            web_port, port = free_ports(2)
            settings = Settings(
                web_port=web_port,
                logs=logs,
                journal=site.folder / "journal.jsonl",
                cwd=Path.cwd(),
                box=box,
                broker_url=broker.url,
                store_url=store.url,
                queue=queue or queue_name(System("chaos", "queued"), mark),
                token=secrets.token_hex(16),
                environment={DEPLOYMENT: mark, "QUEUED_SEAMS": str(seams), **site.environment},
            )
            gateway = nginx.command(
                workspace.folder / f"gateway-{mark}-{attempt}",
                logs / "gateway-1.log",
                port=port,
                upstream=web_port,
                timeout=site.gateway_timeout,
                connections=0,
            )
            own = [workspace.spawn(_through(c, proxies, site)) for c in site.build(settings)]
            own.append(workspace.spawn(gateway))
            url, direct = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{web_port}"
            try:
                _wait_ready(site, url, direct, [*own, *broker.processes, store.process])
                break
            except PortTaken:
                workspace.end(own)
                if attempt == 2:
                    raise
        watched = [(process, True) for process in (*own, *broker.processes, store.process)]
        supervisor = Supervisor(box, watched)
        supervisor.start()
        stack.callback(_end_marked, mark)
        stack.callback(workspace.end, own, 0.0)
        stack.callback(supervisor.stop)
        yield Ground(site, url, direct, broker, store, own, proxies, seams, supervisor)


def _through(command: Command, proxies: Mapping[str, Proxy], site: Site) -> Command:
    """The same command, with its way to the broker through its role's proxy."""
    environment = {**command.env, **site.environment}
    proxy = proxies.get(command.role)
    if proxy is not None and (url := environment.get("QUEUED_BROKER_URL")):
        environment["QUEUED_BROKER_URL"] = with_port(url, proxy.port)
    return replace(command, env=environment)


def with_port(url: str, port: int) -> str:
    """The same URL at another port."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}"))


def _wait_ready(site: Site, url: str, direct: str, processes: Sequence[Process]) -> None:
    def check() -> None:
        for process in processes:
            code = process.poll()
            if code is None:
                continue
            log = process.command.log
            if log_says(log, TAKEN):
                raise PortTaken(f"The {process.role} found its port taken.", log=log)
            raise StackError(f"The {process.role} did not start: it ended with {ending(code)}.", log=log)

    deadline = time.monotonic() + READY_LIMIT

    def wait(what: str, attempt: Callable[[], None]) -> None:
        wait_for(attempt, what=what, deadline=deadline, check=check)

    wait("The web server", lambda: ask(direct, "GET", "/healthz", timeout=2))
    many = 2 * site.workers
    wait("A job", lambda: run_jobs(site.kind, direct, site.probe, many, timeout=PROBE_LIMIT, check=check))
    wait("The gateway", lambda: run_jobs(site.kind, url, site.probe, 1, timeout=PROBE_LIMIT, check=check))


def _end_marked(mark: str) -> None:
    """Kill what left its process group."""
    _signal(marked(mark, DEPLOYMENT), signal.SIGKILL)
