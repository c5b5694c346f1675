"""What a harness, known by its process's number, has left in the engine and on the machine."""

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import docker
import psutil

from bench.stack.containers.project import ENGINE_ERRORS, PROJECT
from bench.stack.sweep import MARK
from bench.stack.workspace import PREFIX, temporary_root


def left_by(client: docker.DockerClient, pid: int, volumes: Iterable[str] = ()) -> list[str]:
    """All of it, in words. `volumes`: names of volumes to look for, since not all of them bear its name."""
    mine = f"{PREFIX}{pid}-"
    found = [f"container {c.name}" for c in containers_of(client, pid)]
    found += [f"network {n.name}" for n in client.networks.list() if n.name.startswith(mine)]
    # Images outlive their makers, and process numbers come again: only young ones can be this harness's.
    images = [i for i in client.api.images(filters={"label": PROJECT}) if i["Created"] > time.time() - 600]
    found += [f"image {i['Id']}" for i in images if str(i["Labels"][PROJECT]).startswith(mine)]
    nameless = set(volumes)
    found += [
        f"volume {v.name}" for v in client.volumes.list() if v.name in nameless or v.name.startswith(mine)
    ]
    hierarchies = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/")]
    found += [f"control group {group}" for top in hierarchies for group in top.glob(f"{mine}*")]
    found += [f"folder {folder}" for folder in temporary_root().glob(f"{mine}*")]
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            words = " ".join(process.cmdline())
            owned = process.environ().get(MARK, "").startswith(f"{pid}-")
            if (owned or mine in words) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"process {process.pid} {words[:100]}")
    return found


def containers_of(client: docker.DockerClient, pid: int) -> list[docker.models.containers.Container]:
    """A harness's containers, running or not."""
    every = client.containers.list(all=True, filters={"label": PROJECT}, ignore_removed=True)
    return [c for c in every if str(c.labels[PROJECT]).startswith(f"{PREFIX}{pid}-")]


def volumes_of(client: docker.DockerClient, pid: int) -> set[str]:
    """Names of the volumes that a harness's containers use."""
    names: set[str] = set()
    for container in containers_of(client, pid):
        with suppress(*ENGINE_ERRORS):
            names |= {m["Name"] for m in container.attrs["Mounts"] if m["Type"] == "volume"}
    return names
