"""The runtime `docker`: opened once for a run; it keeps what trials share and removes it in the end."""

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from docker.models.containers import Container

from bench.plan import Box, Calibration, Trial
from bench.stack.box import Caps
from bench.stack.calibrate import LIMIT, REPEATS, measurement_failed, read_measurement
from bench.stack.cgroups import GroupError
from bench.stack.containers.box import container_box, make_parent, remove
from bench.stack.containers.deploy import ContainerDeployment, deployment
from bench.stack.containers.engine import Engine, find_engine
from bench.stack.containers.parts import BUILT, OWN_CODE, own_code
from bench.stack.containers.place import Place
from bench.stack.containers.project import (
    ENGINE_ERRORS,
    OWNER,
    PROJECT,
    Project,
    leftovers,
    owner,
    remove_containers,
    remove_project,
)
from bench.stack.errors import StackError
from bench.stack.process import ending
from bench.stack.runtime import RuntimeName
from bench.stack.services import check_disk
from bench.stack.workspace import PREFIX, Workspace

BESIDE = 256 * 2**20
"""Bytes that the engine's machine needs beside the box: for the gateway, the engine, and itself."""
IMAGES = "queuebench"
"""Project that the images are built in, as by hand: Compose labels them with its name, so that a name of each
run's own would leave images behind that differ in nothing else."""
TAG = "QUEUEBENCH_TAG"
"""Variable of the Compose file: which images are meant."""


class Containers:
    """A context manager. Leaving it removes every container, network, volume and control group it made.

    Images stay: they are what makes the second time quick. A guard removes the rest when this process is
    killed, and what even that left is removed when the next run begins.
    """

    name: RuntimeName = "docker"

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
        """`folder` is the run's: logs go to `folder/logs`. `say` is told what takes long."""
        self._folder, self._say = folder, say
        self._workspace = Workspace()
        self._engine: Engine | None = None
        self._places: dict[tuple[Box, bool], Place] = {}
        self._projects: list[str] = []
        self._python = ""

    @property
    def engine(self) -> Engine:
        """The engine; only there while this is open."""
        assert self._engine is not None, "the runtime is not open"
        return self._engine

    def __enter__(self) -> Self:
        """Find the engine, remove what dead harnesses left, and build the images. Raises StackError."""
        self._engine = find_engine()
        self._workspace.__enter__()
        try:
            for name in leftovers(self.engine.client):
                remove_project(self.engine.client, name)
            self._say("building images (minutes at first, then seconds)")
            self._project()
            images = Project(self.engine, IMAGES, {})
            images.compose("build", *BUILT, limit=None)
            images.fetch_image("store")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything. Raises StackError, once all else is gone, where something would not go."""
        if self._engine is None:
            return
        left: list[str] = []
        with ExitStack() as closing:
            closing.callback(self._engine.close)
            closing.callback(self._workspace.close)
            for place in self._places.values():
                closing.callback(place.close)
            for place in self._places.values():
                place.keep_logs(self._folder / "logs")
            for name in self._projects:
                left += remove_project(self._engine.client, name)
            self._places, self._projects = {}, []
        self._engine = None
        if left:
            raise StackError(f"Left behind: {', '.join(left)}.", hint="Remove them with `docker rm -f`.")

    @contextmanager
    def deployment(self, trial: Trial, *, folder: Path, journal: Path) -> Iterator[ContainerDeployment]:
        """See Runtime."""
        check_disk(folder)
        place = self.place(trial.box, services_in_box=trial.system.services_in_box)
        with deployment(trial, place, folder=folder, journal=journal) as deployed:
            yield deployed

    def place(self, box: Box, *, services_in_box: bool = True) -> Place:
        """Return what trials in such a box share, made if need be. Raises StackError."""
        key = (box, services_in_box)
        if key not in self._places:
            self.check(box)
            self._places[key] = Place(
                self.engine,
                self._project(),
                self._workspace,
                box,
                {OWNER: owner(self.engine.client)},
                services_in_box=services_in_box,
            )
        return self._places[key]

    def check(self, box: Box) -> None:
        """Raise StackError where the engine's machine is too small for a box."""
        if box.cpus > self.engine.cores:
            raise StackError(
                f"A box of {box.cpus:g} vCPU: the engine's machine has {self.engine.cores}. Ask for less."
            )
        if box.memory + BESIDE > self.engine.memory:
            raise StackError(
                f"A box of {box.memory / 2**20:.0f} MiB: the engine's machine has "
                f"{self.engine.memory / 2**20:.0f} MiB, and {BESIDE / 2**20:.0f} MiB are needed beside the "
                "box. Ask for less, or give the engine more."
            )

    def caps(self, box: Box) -> Caps:
        """Say what is capped, and how."""
        try:
            remove(make_parent(self.engine, f"{PREFIX}{self._workspace.mark}-check", box))
        except GroupError as error:
            return Caps("containers", True, True, f"each container has its share of the box, since {error}")
        return Caps("containers", True, True, "one control group above the containers holds the box")

    def notes(self) -> list[str]:
        """What a reader must know before believing a figure."""
        if self.engine.swap_limit:
            return []
        return [
            "The engine's kernel keeps no account of a container's swap: if its machine swaps, a system that "
            "runs out of memory gets slow there instead of being killed."
        ]

    def calibrate(self, task: str, value: Any, box: Box, *, budget: float, folder: Path) -> Calibration:
        """See Runtime: in a container of its own, of the workers' image."""
        self.check(box)
        words = ["-m", "workloads", "calibrate", "--task", task, "--input", json.dumps(value)]
        words += ["--repeats", str(REPEATS), "--budget", f"{budget:g}", "--threads"]
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "calibrate.log"
        with container_box(self.engine, box, self._workspace) as capped:
            limits = capped.limits({"worker": 1})["worker"]
            container = self._create(words, limits, own_code(task))
            try:
                container.start()
                code = int(container.wait(timeout=LIMIT)["StatusCode"])
                log.write_bytes(container.logs(stdout=False))
                if code != 0:
                    container.reload()
                    how = ending(128 - code if code > 128 else code)
                    killed = bool(container.attrs["State"].get("OOMKilled", False))
                    raise measurement_failed(task, box, log, how, code, out_of_memory=killed)
                said = container.logs(stderr=False).decode()
                found = read_measurement(task, said, log)
                self._python = str(json.loads(said).get("python", ""))
                return found
            except ENGINE_ERRORS as error:
                raise StackError(
                    f"One job of {task} could not be measured in a container: {error}."
                ) from None
            finally:
                remove_containers([container])

    def describe(self) -> dict[str, str]:
        """See Runtime."""
        engine = self.engine
        sizes = []
        for name in ("web", "baseline", "gateway", "broker"):
            with suppress(*ENGINE_ERRORS):
                size = engine.client.images.get(self.image(name)).attrs["Size"]
                sizes.append(f"{name} {size / 1e6:.0f} MB")
        return {
            "runtime": f"containers: engine {engine.version}, Compose {engine.compose}, control groups of "
            f"version {engine.cgroup_version} ({engine.cgroup_driver})",
            "images": ", ".join(sizes) + (f"; Python {self._python}" if self._python else ""),
        }

    def image(self, target: str) -> str:
        """Name of an image of ours, by its target in the Dockerfile."""
        return f"queuebench/{target}:{os.environ.get(TAG) or 'latest'}"

    def _project(self) -> Project:
        name = f"{PREFIX}{self._workspace.mark}-{secrets.token_hex(2)}"
        project = Project(self.engine, name, {})
        self._projects.append(name)
        self._workspace.own_project(name)
        return project

    def _create(self, words: list[str], limits: dict[str, Any], volumes: list[str]) -> Container:
        share = limits["deploy"]["resources"]["limits"]
        try:
            return self.engine.client.containers.create(
                self.image("worker"),
                words,
                entrypoint=["python"],
                environment={"PYTHONPATH": OWN_CODE} if volumes else {},
                labels={PROJECT: self._projects[0], OWNER: owner(self.engine.client)},
                volumes=volumes,
                network_mode="none",
                read_only=True,
                tmpfs={"/tmp": ""},
                init=True,
                nano_cpus=int(float(share["cpus"]) * 1e9),
                mem_limit=int(share["memory"]),
                memswap_limit=int(share["memory"]),
                cpuset_cpus=limits.get("cpuset"),
                cgroup_parent=limits.get("cgroup_parent"),
                healthcheck={"test": ["NONE"]},
            )
        except ENGINE_ERRORS as error:
            raise StackError(f"No container can be made for the measurement of S: {error}.") from None
