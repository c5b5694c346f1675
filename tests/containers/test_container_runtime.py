"""What the runtime `docker` promises: whole records, caps that hold, deaths that are told."""

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pandas as pd
import pytest
from compose_project import ask, awaited
from left_by import left_by
from small_trial import small_trial

from bench.plan import Box, Trial
from bench.stack import StackError
from bench.stack.cgroups import GroupError
from bench.stack.containers import box as boxes
from bench.stack.containers import parts, project, usage
from bench.stack.containers.deploy import ContainerDeployment, service_of
from bench.stack.containers.runtime import Containers

pytestmark = [pytest.mark.docker, pytest.mark.slow]

MIB = 2**20
BOX = Box(1.5, 1024 * MIB)
TOO_MUCH = {"mb": 1500, "seconds": 0.3}
"""More than the box has."""
PATIENCE = 60.0
ROOT = Path(__file__).parents[2]
EXPERIMENT = """
title = "Tiny"
task = "sleep"
input = 0.1
deadline = "20S"

[[parts]]
name = "burst"
shows = "burst"
systems = ["blocking", "queued"]
arrivals = "burst"
sizes = [6]

[[parts]]
name = "memory"
shows = "memory"
systems = ["blocking"]
arrivals = "burst"
sizes = [6]
task = "memory"
input = { mb = 600, seconds = 1.0 }
deadline = "8S"
needs_memory_cap = true
"""


@pytest.fixture(scope="module")
def runtime(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    with Containers(tmp_path_factory.mktemp("runtime")) as runtime:
        yield runtime


def brought_up(runtime: Containers, trial: Trial, folder: Path) -> Any:
    return runtime.deployment(trial, folder=folder, journal=folder / "journal.jsonl")


def run(folder: Path, *words: str) -> Path:
    """`bench run` in containers from its own process; returns the run's folder."""
    # 3: on a busy machine a trial may be INVALID, which is not the containers' affair.
    code, told = ended(folder, *words)
    assert code in (0, 3), told
    (made,) = (folder / "reports").iterdir()
    return made


def ended(folder: Path, *words: str) -> tuple[int, str]:
    """Exit code of `bench run`, and what it wrote to stderr."""
    (folder / "tiny.toml").write_text(EXPERIMENT)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "bench",
            "run",
            "tiny.toml",
            "--runtime",
            "docker",
            "--reports",
            "reports",
            *words,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, told = process.communicate(timeout=230)
    client = docker.from_env()
    assert left_by(client, process.pid) == []
    client.close()
    return process.returncode, told


def table(made: Path, name: str) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(part) for part in sorted((made / f"{name}.parquet").iterdir())])


# --- a run of the command's own ---


def test_a_run_leaves_whole_records(engine: None, tmp_path: Path) -> None:
    made = run(tmp_path)
    state = json.loads((made / "run.json").read_text())
    assert state["runtime"] == "docker"
    assert state["environment"]["runtime"].startswith("containers: engine ")
    assert "web" in state["environment"]["images"]
    trials = {t["id"]: t for t in state["trials"]}
    assert {r["status"] for r in state["results"].values()} == {"done"}
    for result in state["results"].values():
        caps = result["caps"]
        assert (caps["cpus"], caps["memory"]) == (state["box"]["cpus"], state["box"]["memory"])
        assert caps["swap_off"]
    jobs, executed, used = (table(made, name) for name in ("jobs", "executions", "resources"))
    for trial, figures in used.groupby("trial"):
        kind = trials[str(trial)]["system"]["kind"]
        roles = {"web", "gateway"} | ({"worker", "broker", "store"} if kind == "queued" else set())
        by = {(str(s), str(m)) for s, m in zip(figures["subject"], figures["metric"], strict=True)}
        assert {(role, metric) for role in roles for metric in ("cpu", "memory", "processes")} <= by
        assert {("box", "cpu"), ("box", "memory"), ("box", "oom_kills")} <= by
        for _, counter in figures[figures["metric"].isin(["cpu", "oom_kills"])].groupby(
            ["subject", "metric"]
        ):
            assert counter.sort_values("t")["value"].is_monotonic_increasing
        logs = {path.name for path in (made / "trials" / str(trial) / "logs").iterdir()}
        assert "generator.log" in logs
        assert len(logs) >= (5 if kind == "queued" else 3), logs
    assert {path.name for path in (made / "logs").iterdir()} == {"broker.log", "store.log"}
    assert (made / "index.html").stat().st_size > 10_000
    for trial, rows in jobs.groupby("trial"):
        ran = executed[executed["trial"] == trial]
        assert set(ran["job"]) == set(rows["job"])
        if "memory" not in str(trial):
            assert (rows["outcome"] == "ok").all(), rows
            assert len(ran) == len(rows) == 6
            assert ran["ok"].all()
            assert ran["start"].between(rows["arrival"].min(), rows["done"].max()).all()
    # Six copies of 600 MB in 2 GiB.
    (memory,) = (name for name in trials if "memory" in name)
    events = table(made, "events")
    events = events[events["trial"] == memory]
    assert "oom_kill" in set(events["event"])
    lost = jobs[(jobs["trial"] == memory)]
    assert set(lost["status"]) == {502}
    cut = executed[executed["trial"] == memory]
    assert cut["end"].isna().all()
    killed = events[events["event"] == "oom_kill"]["t"].min()
    assert ((cut["cut"] - killed).abs() < 1.0).all()


def test_a_function_of_the_folder_one_is_in(engine: None, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "ours.py").write_text("def twice(value):\n    return {'twice': 2 * value['n']}\n")
    (tmp_path / "input.json").write_text('{"n": 21}')
    words = ("--task", "ours:twice", "--input", "input.json", "--deadline", "5s")
    made = run(tmp_path, *words)
    jobs, executed = table(made, "jobs"), table(made, "executions")
    assert len(jobs) == 12
    assert (jobs["outcome"] == "ok").all(), jobs
    assert executed["ok"].all()
    assert len(executed) == 12


def test_a_folder_that_containers_may_not_read(engine: None, tmp_path: Path) -> None:
    (tmp_path / "ours.py").write_text("def twice(value):\n    return 2 * value\n")
    (tmp_path / "input.json").write_text("21")
    tmp_path.chmod(0o700)
    words = ("--task", "ours:twice", "--input", "input.json", "--deadline", "5s")
    code, told = ended(tmp_path, *words)
    assert code == 1
    assert f"chmod o+rx {tmp_path}" in told
    assert len(told.splitlines()) == 1


# --- deaths ---


def test_a_server_that_is_killed_for_memory_comes_back(runtime: Containers, tmp_path: Path) -> None:
    trial = small_trial("blocking", task="memory", job_input={"mb": 1, "seconds": 0.01}, box=BOX)
    seen: list[dict[str, dict[str, float]]] = []
    over = threading.Event()
    with brought_up(runtime, trial, tmp_path) as deployed:

        def sample() -> None:
            while not over.wait(0.05):
                seen.append(deployed.usage())

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            assert ask(f"{deployed.base_url}/run", {"input": TOO_MUCH})[0] == 502
            small = {"input": {"mb": 1, "seconds": 0.01}}
            awaited(
                lambda: True if ask(f"{deployed.base_url}/run", small)[0] == 200 else None, "job after it"
            )
            told = awaited(lambda: events(deployed, 3), "three events")
        finally:
            over.set()
            sampler.join()
        assert [(e["event"], e["role"]) for e in told] == [
            ("oom_kill", "web"),
            ("died", "web"),
            ("restarted", "web"),
        ]
        assert told[1]["detail"] == "SIGKILL"
        began = time.monotonic()
        deployed.stop()
        assert deployed.deaths()
        assert [e["event"] for e in deployed.events()][3:] == ["stopped"]
    assert time.monotonic() - began < PATIENCE
    for subject in ("box", "web", "gateway"):
        cpu = [reading[subject]["cpu"] for reading in seen if "cpu" in reading.get(subject, {})]
        assert len(cpu) > 5
        assert cpu == sorted(cpu), subject


def events(deployed: ContainerDeployment, count: int) -> list[dict[str, Any]] | None:
    found = deployed.events()
    return found if len(found) >= count else None


def test_a_child_that_is_killed_for_memory_is_told_once(runtime: Containers, tmp_path: Path) -> None:
    """The worker outlives its job's process, and so does the container."""
    small = {"mb": 1, "seconds": 0.01}
    trial = small_trial("queued", task="memory", job_input=small, box=BOX, workers=1)
    place = runtime.place(BOX)
    place.project.environment["QUEUED_MAX_ATTEMPTS"] = "1"
    try:
        with brought_up(runtime, trial, tmp_path) as deployed:
            assert outcome(deployed.base_url, TOO_MUCH) == "failed"
            assert outcome(deployed.base_url, small) == "done"
            told = awaited(lambda: events(deployed, 1), "event")
            deployed.stop()
            assert [(e["event"], e["role"]) for e in deployed.events()] == [
                ("oom_kill", "worker"),
                ("stopped", "system"),
            ], told
    finally:
        del place.project.environment["QUEUED_MAX_ATTEMPTS"]


def outcome(url: str, value: object) -> str:
    """The final state of one job."""
    status, body = ask(f"{url}/jobs", {"input": value})
    assert status == 202, body
    state = lambda: str(ask(f"{url}/jobs/{body['id']}")[1]["state"])  # noqa: E731
    return awaited(lambda: s if (s := state()) in ("done", "failed") else None, "end of the job", PATIENCE)


def test_what_is_started_again_is_where_it_was(runtime: Containers, tmp_path: Path) -> None:
    with brought_up(runtime, small_trial("queued", box=BOX), tmp_path) as deployed:
        everything = [*deployed.containers, *runtime.place(BOX).services]
        for container in everything:
            if service_of(container) in ("gateway", "broker", "store"):
                container.restart(timeout=0)
        depth = {"ready": 0, "consumers": 2}
        awaited(lambda: True if deployed.queue_depth() == depth else None, "queue of a broker", PATIENCE)
        awaited(lambda: True if deployed.requests_in_progress() is not None else None, "status of a gateway")
        assert outcome(deployed.base_url, 0.01) == "done"
    with brought_up(runtime, small_trial("queued", box=BOX), tmp_path) as deployed:  # and the next trial, too
        assert outcome(deployed.base_url, 0.01) == "done"


# --- caps ---


def test_without_a_group_above_shares_add_up_to_the_box(
    runtime: Containers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> boxes.Parent:
        raise GroupError("for this test")

    monkeypatch.setattr(boxes, "make_parent", refuse)
    monkeypatch.setattr(usage, "group_of", lambda *_: None)  # nor is any control group seen
    divided = replace(BOX, memory=1200 * MIB)
    with brought_up(runtime, small_trial("queued", box=divided, workers=3), tmp_path) as deployed:
        assert sum(service_of(c) == "worker" for c in deployed.containers) == 3
        assert deployed.queue_depth() == {"ready": 0, "consumers": 3}
        caps = deployed.in_force()
        assert caps["kind"] == "shares of 6 containers"
        assert caps["cpus"] == pytest.approx(divided.cpus, abs=0.02)
        assert caps["memory"] == pytest.approx(divided.memory, abs=6 * 4096 + 6)
        assert caps["swap_off"]
        # The engine takes a second for each container's answer, and the sampler must not.
        began = time.monotonic()
        first = deployed.usage()
        assert time.monotonic() - began < 0.5
        assert {"web", "worker", "broker", "store", "gateway", "box"} <= first.keys()
        parts_of_it = sum(first[role]["cpu"] for role in ("web", "worker", "broker", "store"))
        assert first["box"]["cpu"] == pytest.approx(parts_of_it)
        assert outcome(deployed.base_url, 0.5) == "done"
        awaited(
            lambda: True if deployed.usage()["box"]["cpu"] > first["box"]["cpu"] + 0.4 else None, "use of CPU"
        )
        now = deployed.usage()
        assert all(now[role]["memory"] > MIB for role in ("web", "worker", "broker", "store", "gateway"))


# --- what goes wrong ---


def test_a_port_that_was_taken_meanwhile_is_tried_anew(
    runtime: Containers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    free = parts.free_ports
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        asked = 0

        def once(count: int) -> list[int]:
            nonlocal asked
            asked += 1
            return [number, *free(count)][:count] if asked == 1 else free(count)

        monkeypatch.setattr(parts, "free_ports", once)
        with brought_up(runtime, small_trial("blocking", box=BOX), tmp_path) as deployed:
            assert ask(f"{deployed.base_url}/run", {"input": 0.01})[0] == 200
        assert asked > 1
        monkeypatch.setattr(parts, "free_ports", lambda count: [number, *free(count)][:count])
        with (
            pytest.raises(StackError) as told,
            brought_up(runtime, small_trial("blocking", box=BOX), tmp_path),
        ):
            pass
    assert f"{number} is in use" in str(told.value)
    assert len(str(told.value).splitlines()) == 1
    assert runtime.place(BOX).project.containers() == [] or all(
        service_of(c) in ("broker", "store") for c in runtime.place(BOX).project.containers()
    )


def test_what_a_dead_harness_left_is_found_and_a_living_ones_is_not(runtime: Containers) -> None:
    """By numbers of processes where they mean something: not those of another container's."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    client = runtime.engine.client
    here = project.owner(client)
    names = {
        "dead": (f"queuebench-{gone.pid}-aaaa", here),
        "alive": (f"queuebench-{os.getpid()}-bbbb", here),
        "elsewhere": (f"queuebench-{gone.pid}-cccc", "another host"),
        "ended": (f"queuebench-{os.getpid()}-dddd", f"{project.IN_CONTAINER}{secrets.token_hex(32)}"),
    }
    made = []
    try:
        for name, owner in names.values():
            labels = {project.PROJECT: name, project.OWNER: owner}
            made.append(client.containers.create(runtime.image("web"), labels=labels))
        found = project.leftovers(client)
        ours = {label for label, (name, _) in names.items() if name in found}
        assert ours == {"dead", "ended"}
    finally:
        project.remove_containers(made)


def test_no_account_of_swap_is_a_note(runtime: Containers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_engine", replace(runtime.engine, swap_limit=False))
    (note,) = runtime.notes()
    assert "swap" in note
    assert "\n" not in note
