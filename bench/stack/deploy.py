"""Brings one system up for one trial, proves that it works, and brings it down."""

import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.plan import Trial
from bench.stack import nginx
from bench.stack.box import BoxHandle, open_box
from bench.stack.depth import QueueDepth
from bench.stack.errors import PortTaken, StackError, log_says, tail
from bench.stack.gateway_status import RequestsInProgress
from bench.stack.ports import LOOPBACK, TAKEN, free_ports, is_free
from bench.stack.process import Command, Process, ending
from bench.stack.ready import NotYet, ask, probed, run_jobs, wait_for
from bench.stack.runtime import ProcessInfo
from bench.stack.services import Services, ServiceSet, check_disk
from bench.stack.supervise import Supervisor
from bench.stack.sweep import marked
from bench.stack.systems import (
    Settings,
    commands,
    consumers,
    every_queue,
    executors,
    is_restarted,
    queue_name,
    uses_queue,
    work_queue,
)
from workloads import load_task

START_LIMIT = 60.0
"""Seconds that web and workers may take, apart from the job itself."""
WARM_LIMIT = 5.0
"""Seconds spent on having every worker run a probe; what is cold then stays cold."""
STOP_GRACE = 0.1
"""Seconds between SIGTERM and SIGKILL: the trial is over, and what still runs was cut off already."""
BAD_SETTINGS = 2
"""Exit code by which our servers say that their settings are wrong, in one line."""
DEPLOYMENT = "QUEUEBENCH_DEPLOYMENT"
"""Environment variable of every process of one deployment, children of children included."""


class Deployment:
    """A system that is up, and has proved it. Made by `deployment`."""

    def __init__(
        self,
        *,
        base_url: str,
        direct_url: str,
        queue: str,
        status_port: int,
        box: BoxHandle,
        kept: ServiceSet | None,
        own: list[Process],
        supervisor: Supervisor,
        bring_down: Callable[[], None],
    ) -> None:
        self.base_url = base_url
        """Where clients go: the gateway."""
        self.direct_url = direct_url
        """The web server without the gateway."""
        self.queue = queue
        """Name of the queue that its jobs wait in, empty where it has none."""
        self.box = box
        self.broker_url = kept.broker_url if kept else ""
        self.store_url = kept.store_url if kept else ""
        self._depth = QueueDepth(kept.broker_url, queue) if kept else None
        self._in_progress = RequestsInProgress(status_port)
        self._kept = kept
        self._own = own
        self._supervisor = supervisor
        self._bring_down = bring_down
        self._stopped: float | None = None
        self._lock = threading.Lock()

    def in_force(self) -> dict[str, Any]:
        """See Deployed."""
        return self.box.in_force()

    def usage(self) -> dict[str, dict[str, float]]:
        """See Deployed: of the box; roles are seen by their processes."""
        return {"box": self.box.usage()}

    def queue_depth(self) -> dict[str, int] | None:
        """`ready` and `consumers` of the queue; None where there is no queue or its broker is down."""
        return self._depth() if self._depth is not None else None

    def requests_in_progress(self) -> int | None:
        """Requests that the gateway has in progress; None while it can't tell."""
        return self._in_progress()

    def deaths(self) -> dict[int, float]:
        """See Deployed."""
        return {int(e["pid"]): float(e["t"]) for e in self.events() if e["event"] == "died"}

    def processes(self) -> list[ProcessInfo]:
        """Return what is alive now: web, workers, gateway, and the services that it uses."""
        every = [*self._own, *(self._kept.processes if self._kept else [])]
        return [ProcessInfo(process.role, process.pid) for process in every if process.running]

    def events(self) -> list[dict[str, Any]]:
        """Return rows of EVENTS without the trial: died, restarted, oom_kill, stopped."""
        stopped = {"t": self._stopped, "event": "stopped", "role": "system", "pid": 0, "detail": ""}
        return [*self._supervisor.events(), *([stopped] if self._stopped else [])]

    def stop(self) -> None:
        """Bring the system down; services stay. Safe to call twice."""
        with self._lock:
            if self._stopped is None:
                self._stopped = time.time()
                self._supervisor.stop()
                if self._depth is not None:
                    self._depth.close()
                self._bring_down()


@contextlib.contextmanager
def deployment(
    trial: Trial, *, services: Services, folder: Path, journal: Path, port: int | None = None
) -> Iterator[Deployment]:
    """Bring the trial's system up and yield it once probe jobs went through the whole of it.

    Logs go to `folder/logs`; `port` is the gateway's (None: any free one). A system with a queue shares the
    box of its services, so that the queue pays for its own parts; one without gets a box of its own, which
    idle services do not weigh on. Raises StackError with the log's tail when it does not come up.
    """
    check_disk(folder)
    if port is not None and not is_free(port):
        raise StackError(f"Port {port} is in use: choose another with --port, or leave it to chance.")
    with ExitStack() as stack:
        kept = None
        if uses_queue(trial):
            kept = services.acquire(trial.box if trial.system.services_in_box else None)
            kept.clear()
        box = kept.box if kept else None
        if box is None:
            box = stack.enter_context(
                open_box(f"system-{secrets.token_hex(2)}", trial.box, services.workspace)
            )
        starting = _Starting(trial, services, folder, journal, box, kept, port)
        deployed = starting.bring_up()
        stack.callback(deployed.stop)
        yield deployed


class _Starting:
    """What one bringing-up needs, so that it can be tried again with other ports."""

    def __init__(
        self,
        trial: Trial,
        services: Services,
        folder: Path,
        journal: Path,
        box: BoxHandle,
        kept: ServiceSet | None,
        port: int | None,
    ) -> None:
        self.trial = trial
        self.services = services
        self.folder = folder
        self.journal = journal
        self.box = box
        self.kept = kept
        self.port = port
        self.processes: list[Process] = []
        self.mark = ""

    def bring_up(self) -> Deployment:
        """Start, wait, and begin to watch. Raises StackError, with nothing of the system left."""
        for attempt in range(3):
            self.mark = secrets.token_hex(4)
            try:
                return self._bring_up()
            except BaseException as error:
                self.bring_down()
                if not isinstance(error, PortTaken) or attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def bring_down(self) -> None:
        """End every process of this deployment, and those that left their sessions."""
        self.services.workspace.end(self.processes, STOP_GRACE)
        self.processes = []
        for pid in marked(self.mark, DEPLOYMENT):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _bring_up(self) -> Deployment:
        system = self.trial.system
        web_port, free_port, status_port = free_ports(3)
        port = self.port or free_port
        queue = queue_name(system, self.mark) if self.kept else ""
        if self.kept:
            self.kept.queues |= every_queue(self.trial, queue)
        for command in self._commands(web_port, port, status_port, queue):
            self.processes.append(self.services.workspace.spawn(command))
        restart = is_restarted(system)
        watched = [(process, restart or process.role == "gateway") for process in self.processes]
        watched += [(process, True) for process in (self.kept.processes if self.kept else [])]
        deployed = Deployment(
            base_url=f"http://{LOOPBACK}:{port}",
            direct_url=f"http://{LOOPBACK}:{web_port}",
            queue=work_queue(self.trial, queue) if self.kept else "",
            status_port=status_port,
            box=self.box,
            kept=self.kept,
            own=self.processes,
            supervisor=Supervisor(self.box, watched),
            bring_down=self.bring_down,
        )
        self._wait_ready(deployed)
        deployed._supervisor.start()
        return deployed

    def _commands(self, web_port: int, port: int, status_port: int, queue: str) -> list[Command]:
        logs = self.folder / "logs"
        settings = Settings(
            web_port=web_port,
            logs=logs,
            journal=self.journal,
            cwd=Path.cwd(),
            box=self.box,
            broker_url=self.kept.broker_url if self.kept else "",
            store_url=self.kept.store_url if self.kept else "",
            queue=queue,
            token=secrets.token_hex(16),
            environment={DEPLOYMENT: self.mark},
        )
        gateway = nginx.command(
            self.services.workspace.folder / f"gateway-{self.mark}",
            logs / "gateway-1.log",
            port=port,
            upstream=web_port,
            timeout=self.trial.gateway_timeout,
            connections=self.trial.connection_limit if self.trial.system.kind == "bounded" else 0,
            status=status_port,
        )
        return [*commands(self.trial, settings), gateway]

    def _wait_ready(self, deployed: Deployment) -> None:
        system, work = self.trial.system, self.trial.work
        job_limit = 30 + 20 * work.service_time
        deadline = time.monotonic() + START_LIMIT + job_limit
        value = work.input if ":" in work.task else load_task(work.task).probe

        def wait(what: str, attempt: Callable[[], None]) -> None:
            wait_for(attempt, what=f"{what} of {system.name}", deadline=deadline, check=self._check_alive)

        def jobs(url: str, count: int) -> None:
            run_jobs(system.kind, url, value, count, timeout=job_limit, check=self._check_alive)

        wait("The web server", lambda: ask(deployed.direct_url, "GET", "/healthz", timeout=2))
        if self.kept:
            wait("The queue", lambda: _expect_consumers(deployed, consumers(system)))
        count = executors(system)
        warm = time.monotonic() + WARM_LIMIT
        while True:
            wait("A job", lambda: jobs(deployed.direct_url, count))
            if len(probed(self.journal)) >= count or time.monotonic() > warm:
                break
        if self.trial.gateway_timeout > 2 * work.service_time:
            wait("The gateway", lambda: jobs(deployed.base_url, 1))
        else:  # a probe with the user's own input might meet the very time-out that is to be shown
            wait("The gateway", lambda: ask(deployed.base_url, "GET", "/healthz", timeout=2))

    def _check_alive(self) -> None:
        for process in [*self.processes, *(self.kept.processes if self.kept else [])]:
            code = process.poll()
            if code is not None:
                raise _start_failure(self.trial.system.name, process, code)


def _expect_consumers(deployed: Deployment, count: int) -> None:
    depth = deployed.queue_depth()
    if depth is None or depth["consumers"] != count:
        raise NotYet(f"{depth['consumers'] if depth else 0} of {count} workers are at the queue")


def _start_failure(system: str, process: Process, code: int) -> StackError:
    log = process.command.log
    if log_says(log, TAKEN):
        return PortTaken(f"The {process.role} of {system} found its port taken.", log=log)
    said = tail(log, 1)
    if code == BAD_SETTINGS and said:
        return StackError(f"{system} can't be started: {said[0]}")
    hint = "Its box may be too small: give it more memory." if code == -signal.SIGKILL else ""
    return StackError(
        f"The {process.role} of {system} did not start: it ended with {ending(code)}.", log=log, hint=hint
    )
