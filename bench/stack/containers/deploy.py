"""Brings one system up in containers for one trial, proves that it works, and brings it down."""

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from bench.plan import Trial
from bench.stack.containers.box import ContainerBox, limit
from bench.stack.containers.journals import Journal, Merged, fetch, merge
from bench.stack.containers.parts import (
    ATTEMPTS,
    GATEWAY_PORT,
    PARTS,
    STATUS_PORT,
    WEB_PORT,
    Parts,
    trial_services,
    trial_variables,
)
from bench.stack.containers.place import Place, host_port
from bench.stack.containers.project import (
    ENGINE_ERRORS,
    PROJECT,
    SERVICE,
    kill_containers,
    last_words,
    remove_containers,
    write_override,
)
from bench.stack.containers.usage import ContainerUsage, summed
from bench.stack.containers.watch import Watch, Watched
from bench.stack.depth import QueueDepth
from bench.stack.errors import PortTaken, StackError
from bench.stack.gateway_status import RequestsInProgress
from bench.stack.ports import LOOPBACK
from bench.stack.process import ending
from bench.stack.ready import NotYet, ask, run_jobs, wait_for
from bench.stack.runtime import ProcessInfo
from bench.stack.systems import consumers, every_queue, executors, queue_name, work_queue
from workloads import load_task

START_LIMIT = 90.0
"""Seconds that containers may take to answer, apart from the job itself."""
WARM_LIMIT = 5.0
"""Seconds spent on having every worker run a probe; what is cold then stays cold."""
ROLE_FIGURES = ("cpu", "memory", "processes", "throttled")
FIGURES_LIMIT = 5.0
"""Seconds for an engine's first figures of a container."""
ALIVE_EVERY = 0.5
"""Seconds between two looks at whether a container that comes up has died instead."""


class ContainerDeployment:
    """A system that is up, and has proved it. Made by `deployment`."""

    def __init__(
        self,
        trial: Trial,
        place: Place,
        box: ContainerBox,
        own: list[Container],
        queue: str,
        folder: Path,
        journal: Path,
    ) -> None:
        self._trial, self._place, self._box, self._own = trial, place, box, own
        self._folder, self._journal = folder, journal
        roles = PARTS[trial.system.kind].roles
        services = place.services if queue else []
        self._watched = {
            str(c.id): Watched(
                roles.get(service_of(c), service_of(c)),
                ContainerUsage(place.engine, str(c.id), pid := int(c.attrs["State"]["Pid"])),
                pid,
            )
            for c in [*own, *services]
        }
        gateway = next(c for c in own if service_of(c) == PARTS[trial.system.kind].gateway)
        web = next(c for c in own if service_of(c) == PARTS[trial.system.kind].web)
        self.base_url = f"http://{LOOPBACK}:{host_port(gateway, GATEWAY_PORT)}"
        """Where clients go: the gateway."""
        self.direct_url = f"http://{LOOPBACK}:{host_port(web, WEB_PORT)}"
        """The web server without the gateway."""
        self._depth = QueueDepth(place.broker_url, queue) if queue else None
        self._in_progress = RequestsInProgress(host_port(gateway, STATUS_PORT))
        self._watch: Watch | None = None
        self._caps: dict[str, Any] = {}
        self._merged = Merged()
        self._stopped: float | None = None
        self._lock = threading.Lock()

    @property
    def containers(self) -> list[Container]:
        """The system's own containers, without broker and store."""
        return list(self._own)

    def watch(self) -> None:
        """Begin to note who dies; while everybody lives, read the caps back and a first figure of each."""
        self._caps = self._read_caps()
        usages = [watched.usage for watched in self._watched.values()]
        for usage in usages:
            usage()
        for usage in usages:
            usage.known(FIGURES_LIMIT)
        self._watch = Watch(self._place.engine, self._place.project.name, self._watched)

    def in_force(self) -> dict[str, Any]:
        """See Deployed: as they were when the system had come up."""
        return self._caps

    def _read_caps(self) -> dict[str, Any]:
        parts = PARTS[self._trial.system.kind]
        inside = [c for c in self._own if service_of(c) in parts.in_box]
        if self._depth is not None and self._trial.system.services_in_box:
            inside += self._place.services
        if self._trial.worker_box is None:
            return self._box.in_force() or shares_in_force(inside, self._box)
        workers = [c for c in inside if service_of(c) == parts.worker]
        rest = [c for c in inside if service_of(c) != parts.worker]
        each = [limits_in(c) for c in workers]
        return (self._box.in_force() or shares_in_force(rest, self._box)) | {
            "worker_cpus": None if any(c is None for c, _ in each) else max(c for c, _ in each if c),
            "worker_memory": None if any(m is None for _, m in each) else max(m for _, m in each if m),
        }

    def usage(self) -> dict[str, dict[str, float]]:
        """See Deployed: of the box and of each role."""
        by_role: dict[str, list[dict[str, float]]] = {}
        for watched in self._watched.values():
            by_role.setdefault(watched.role, []).append(watched.usage())
        told = summed(by_role)
        outside = {"gateway"} if self._trial.system.services_in_box else {"gateway", "broker", "store"}
        outside |= {"worker"} if self._trial.worker_box else set()
        inside = summed({"box": [u for r, each in by_role.items() if r not in outside for u in each]})["box"]
        if self._box.parent:
            # Version 1 counts a kill with the group that it hit only.
            inside = {**self._box.parent.group.usage(), "oom_kills": inside.get("oom_kills", 0.0)}
        inside.pop("processes", None)
        roles = {
            role: {n: v for n, v in figures.items() if n in ROLE_FIGURES} for role, figures in told.items()
        }
        return {**roles, "box": inside}

    def processes(self) -> list[ProcessInfo]:
        """See Deployed: they are known by their containers."""
        return []

    def queue_depth(self) -> dict[str, int] | None:
        """See Deployed."""
        return self._depth() if self._depth is not None else None

    def requests_in_progress(self) -> int | None:
        """See Deployed."""
        return self._in_progress()

    def events(self) -> list[dict[str, Any]]:
        """See Deployed."""
        stopped = {"t": self._stopped, "event": "stopped", "role": "system", "pid": 0, "detail": ""}
        return [*(self._watch.events() if self._watch else []), *([stopped] if self._stopped else [])]

    def deaths(self) -> dict[int, float]:
        """See Deployed."""
        return self._merged.deaths

    def stop(self) -> None:
        """See Deployed."""
        with self._lock:
            if self._stopped is not None:
                return
            self._stopped = time.time()
            if self._watch is not None:
                self._watch.stop()
            if self._depth is not None:
                self._depth.close()
            bring_down(self._own, self._folder / "logs")
            self._merged = self.journal()
            self._journal.write_text(self._merged.text())
            remove_containers(self._own)

    def journal(self) -> Merged:
        """What was executed so far, by all containers."""
        parts = PARTS[self._trial.system.kind]
        return merge(
            [
                Journal(str(c.id), fetch(c), service_of(c) == parts.worker, self._watched[str(c.id)].died)
                for c in self._own
                if service_of(c) in parts.in_box
            ]
        )


def service_of(container: Container) -> str:
    """Name of a container's service."""
    return str(container.labels.get(SERVICE, ""))


def shares_in_force(inside: list[Container], box: ContainerBox) -> dict[str, Any]:
    """The caps of containers that have a share each, as their own kernel tells them."""
    read = [limits_in(c) for c in inside]
    cpus, memory = [c for c, _ in read], [m for _, m in read]
    return {
        "cpus": None if None in cpus else round(sum(c for c in cpus if c is not None), 2),
        "cpus_by": None if None in cpus else "quota",
        "memory": None if None in memory else sum(m for m in memory if m is not None),
        "swap_off": all(
            c.attrs["HostConfig"].get("MemorySwap") == c.attrs["HostConfig"].get("Memory") for c in inside
        ),
        "kind": f"shares of {len(inside)} containers",
        "pinned": box.cores,
    }


LIMITS = (
    "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/memory.max 2>/dev/null || { cd /sys/fs/cgroup && echo "
    "$(cat cpu/cpu.cfs_quota_us) $(cat cpu/cpu.cfs_period_us) && cat memory/memory.limit_in_bytes; }"
)
"""Prints quota, period and bytes, whichever version of control groups a container has."""


def limits_in(container: Container) -> tuple[float | None, int | None]:
    """CPUs and bytes that hold inside a container; None is no limit, or that it can't be told."""
    try:
        told = container.exec_run(["sh", "-c", LIMITS]).output.decode().split()
        quota, period, memory = told
    except (*ENGINE_ERRORS, ValueError):
        return None, None
    cpus = int(quota) / int(period) if quota.isdigit() and period.isdigit() else None
    return cpus, int(memory) if memory.isdigit() and int(memory) < 2**60 else None


def bring_down(containers: list[Container], logs: Path) -> None:
    """Kill containers and bring their logs home; they stay, so that files can be had of them."""
    logs.mkdir(parents=True, exist_ok=True)
    kill_containers(containers)

    def one(container: Container) -> None:
        name = str(container.name).removeprefix(f"{container.labels.get(PROJECT, '')}-")
        with contextlib.suppress(*ENGINE_ERRORS, OSError):
            (logs / f"{name}.log").write_bytes(container.logs())

    if containers:
        with ThreadPoolExecutor(max_workers=min(8, len(containers))) as pool:
            list(pool.map(one, containers))


@contextlib.contextmanager
def deployment(trial: Trial, place: Place, *, folder: Path, journal: Path) -> Iterator[ContainerDeployment]:
    """Bring the trial's system up and yield it once probe jobs went through the whole of it.

    Its logs go to `folder/logs`.

    Raises StackError with the log's tail when it does not come up.
    """
    parts = PARTS[trial.system.kind]
    mark = secrets.token_hex(4)
    queue = queue_name(trial.system, mark) if parts.worker else ""
    if queue:
        place.start_services()
        place.clear()
        place.queues |= every_queue(trial, queue)
    box = place.box_for(trial)
    scale = {name: trial.system.workers if name == parts.worker else 1 for name in parts.in_box}
    services = place.service_counts if queue and trial.system.services_in_box else {}
    if trial.worker_box and parts.worker:
        inside = {name: n for name, n in scale.items() if name != parts.worker}
        limits = {**box.limits({**services, **inside}), parts.worker: limit(trial.worker_box)}
    else:
        limits = box.limits({**services, **scale})
    token = secrets.token_hex(16)
    own: list[Container] = []
    try:
        for attempt in range(1, ATTEMPTS + 1):
            said = trial_services(trial, limits, queue, token, place.labels)
            override = write_override(place.folder / f"trial-{mark}.json", said)
            words = ["up", "-d", "--no-deps", "--no-build", *_scaling(parts, trial), *parts.roles]
            try:
                place.project.compose(*words, override=override, variables=trial_variables(trial))
                break
            except PortTaken:
                remove_containers([c for c in place.project.containers() if service_of(c) in parts.roles])
                if attempt == ATTEMPTS:
                    raise
        own = [c for c in place.project.containers() if service_of(c) in parts.roles]
        told = work_queue(trial, queue) if queue else ""
        deployed = ContainerDeployment(trial, place, box, own, told, folder, journal)
        _wait_ready(trial, deployed, place)
        deployed.watch()
        yield deployed
        deployed.stop()
    finally:
        own = own or [c for c in place.project.containers() if service_of(c) in parts.roles]
        bring_down(own, folder / "logs")
        remove_containers(own)


def _scaling(parts: Parts, trial: Trial) -> list[str]:
    return ["--scale", f"{parts.worker}={trial.system.workers}"] if parts.worker else []


def _wait_ready(trial: Trial, deployed: ContainerDeployment, place: Place) -> None:
    system, work = trial.system, trial.work
    job_limit = 30 + 20 * work.service_time
    deadline = time.monotonic() + START_LIMIT + job_limit
    value = work.input if ":" in work.task else load_task(work.task).probe
    alive = _Alive([*deployed.containers, *(place.services if consumers(system) else [])], system.name)

    def wait(what: str, attempt: Callable[[], None]) -> None:
        wait_for(attempt, what=f"{what} of {system.name}", deadline=deadline, check=alive)

    def jobs(url: str, count: int) -> None:
        run_jobs(system.kind, url, value, count, timeout=job_limit, check=alive)

    wait("The web server", lambda: ask(deployed.direct_url, "GET", "/healthz", timeout=2))
    if consumers(system):
        wait("The queue", lambda: _expect_consumers(deployed, consumers(system)))
    count = executors(system)
    warm = time.monotonic() + WARM_LIMIT
    while True:
        wait("A job", lambda: jobs(deployed.direct_url, count))
        ran = {line["pid"] for line in deployed.journal().lines if line["event"] == "end"}
        if len(ran) >= count or time.monotonic() > warm:
            break
    if trial.gateway_timeout > 2 * work.service_time:
        wait("The gateway", lambda: jobs(deployed.base_url, 1))
    else:  # a probe with the user's own input might meet the very time-out that is to be shown
        wait("The gateway", lambda: ask(deployed.base_url, "GET", "/healthz", timeout=2))


def _expect_consumers(deployed: ContainerDeployment, count: int) -> None:
    depth = deployed.queue_depth()
    if depth is None or depth["consumers"] != count:
        raise NotYet(f"{depth['consumers'] if depth else 0} of {count} workers are at the queue")


class _Alive:
    """Raises StackError when a container that is to come up has ended, or is started over and over."""

    def __init__(self, containers: list[Container], system: str) -> None:
        self._containers, self._system = containers, system
        self._looked = float("-inf")

    def __call__(self) -> None:
        if time.monotonic() - self._looked < ALIVE_EVERY:
            return
        self._looked = time.monotonic()
        for container in self._containers:
            try:
                container.reload()
            except ENGINE_ERRORS as error:
                raise StackError(f"A container of {self._system} is gone: {error}.") from None
            state = container.attrs["State"]
            if state["Status"] in ("exited", "dead") or container.attrs.get("RestartCount", 0) > 0:
                raise self._failure(container, state)

    def _failure(self, container: Container, state: dict[str, Any]) -> StackError:
        code = int(state.get("ExitCode", 0))
        how = ending(128 - code if code > 128 else code)
        what = f"{service_of(container)} of {self._system} did not start: it ended with {how}."
        small = "Its box may be too small: give it more memory." if state.get("OOMKilled") else ""
        said = "".join(f"\n    {line}" for line in last_words(container, 12))
        return StackError(f"{what}{' It said:' if said else ''}{said}", hint=small)
