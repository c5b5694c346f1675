"""What a master makes of its workers: here played, on messages that are handed over without a network."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from math import inf, nan
from types import MappingProxyType

import gevent
import pytest

from bench.load.asking import Setting
from bench.load.assignment import Assignment
from bench.load.clients import Job
from bench.load.clock import Clock
from bench.load.errors import LoadError
from bench.load.exchange import Origin
from bench.load.fleet import Fleet
from bench.load.progress import Standing
from bench.load.recorder import Courier, Recorder
from bench.load.session import Session
from bench.load.verifier import Verifier
from bench.load.wire import PROTOCOL
from bench.plan import Load

ASSIGNMENT = Assignment(
    label="played spin",
    face="run",
    task="spin",
    value={"seconds": 0.01, "gil": "held"},
    load=Load("constant", rate=20, window=0.2),
    seed=1,
    deadline=10.0,  # clocks may be uncertain by 200 ms
    patience=4.0,
    poll_interval=0.02,
    drain_limit=20,
)
ORIGIN = Origin("http://127.0.0.1:1", "127.0.0.1:1", "", 2, ("127.0.0.1", 1), "127.0.0.1", None)


class Played:
    """A worker that says what a test has it say; and the wire, from the master's side."""

    def __init__(self, *, protocol=PROTOCOL, objection="", slow=0.0, ahead=0.0, rows_short=0, drift=0.0):
        self.protocol, self.objection, self.slow, self.ahead = protocol, objection, slow, ahead
        self.rows_short, self.drift = rows_short, drift
        self.clock = Clock()
        self.orders: dict = {}
        self.over = False
        self.load = ""
        self.say: Callable = lambda *_, **__: None

    def hear(self, what, content):
        match what:
            case "muster":
                self.load = content["load"]
                self.answer("muster", pid=4711, host="elsewhere", protocol=self.protocol)
            case "clock":
                heard = self.clock.now() + self.ahead
                gevent.sleep(self.slow)  # on the way back, say
                self.answer("clock", asked=content["asked"], heard=heard, said=heard)
            case "orders":
                self.orders = content
                self.answer("orders", objection=self.objection)
            case "begin":
                self.start = content["start"]
            case "end":
                self.ahead += self.drift
                self.work(last=True, short=self.rows_short)

    def work(self, *, last, short=0):
        """Do everything that is ordered, and say so."""
        told = json.loads(self.orders["assignment"])
        assert Assignment.from_json(told) == ASSIGNMENT
        rows = Courier()
        share = [0.025 + n * 0.05 for n in range(4)][self.orders["index"] :: self.orders["of"]]
        for planned in share:
            begun = self.start + planned
            name = f"{self.orders['index']}-{planned}"
            rows.job(Job(name, "window", begun, sent=begun, done=begun, outcome="ok"))
        jobs, requests = rows.collect()
        standing = Standing(launched=len(share), sent=len(share), in_time=len(share), arrivals_over=True)
        self.answer(
            "ended" if last else "rows",
            at=self.clock.now(),
            standing=asdict(standing),
            in_flight=[],
            jobs="".join(jobs.splitlines(keepends=True)[short:]),
            requests=requests,
            rows_of_jobs=len(share),
            rows_of_requests=0,
        )

    def answer(self, what, **content):
        gevent.spawn(self.say, what, {**content, "load": self.load})


class PlayedWire:
    """The master's end of a wire to such workers."""

    def __init__(self, *workers):
        self.played = {f"host_{n}": worker for n, worker in enumerate(workers)}

    def listen(self, hear):
        for id, worker in self.played.items():
            worker.say = lambda what, content, id=id: hear(id, what, content)

    def say(self, what, to, **content):
        gevent.spawn(self.played[to].hear, what, content)

    def workers(self):
        return list(self.played)


@pytest.fixture
def lead(tmp_path, monkeypatch):
    """A session led through with these workers: its fleet and what was recorded."""

    monkeypatch.setattr("bench.load.fleet.LEAD", 0.05)

    def run(*workers, assignment=ASSIGNMENT):
        setting = Setting(
            assignment, ORIGIN, Recorder(tmp_path), Verifier("spin", assignment.value), lambda *_: None
        )
        fleet = Fleet(PlayedWire(*workers), setting)
        session = Session(setting, fleet)
        fleet.alarm = session.cut_off
        fleet.begin()
        session.supervise()
        found = {
            name: [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
            for name in ("jobs", "marks")
        }
        return fleet, MappingProxyType(found)

    return run


class Silent(Played):
    """Begins, reports one job in flight, and is never heard of again."""

    def hear(self, what, content):
        if what in ("end", "clock") and self.orders:
            return
        super().hear(what, content)
        if what == "begin":
            gevent.spawn_later(0.1, self.report)

    def report(self):
        standing = Standing(launched=1, sent=1, in_flight=1, last_arrival=self.start + 0.025)
        self.answer(
            "rows",
            at=self.clock.now(),
            standing=asdict(standing),
            in_flight=[("mine", "window", self.start + 0.025, nan)],
            jobs="",
            requests="",
        )


class Willing(Played):
    """Does its part at once."""

    def hear(self, what, content):
        super().hear(what, content)
        if what == "begin":
            gevent.spawn(self.go_on)
        if what == "end":
            self.over = True

    def go_on(self):
        while not self.over:
            gevent.sleep(0.05)
            standing = Standing(launched=2, sent=2, in_time=2, arrivals_over=True, last_sign=self.start + 0.2)
            empty = {"jobs": "", "requests": "", "in_flight": []}
            self.answer("rows", at=self.clock.now(), standing=asdict(standing), **empty)


def test_records_of_all_workers_come_together(lead):
    """In the master's files, with its marks; nothing is wrong."""
    fleet, found = lead(Willing(), Willing())
    assert sorted(job["job"] for job in found["jobs"]) == [
        f"{n % 2}-{0.025 + n * 0.05}" for n in (0, 2, 1, 3)
    ]
    assert fleet.failure == ""
    assert [m["event"] for m in found["marks"] if m["event"] != "clock"] == [
        "load_started",
        "window_started",
        "window_ended",
        "drained",
    ]
    assert (fleet.standing.launched, fleet.standing.in_time) == (4, 4)


@pytest.mark.parametrize(
    ("worker", "says"),
    [
        (Played(protocol=PROTOCOL + 1), "has another version of Queuebench"),
        (Played(objection="nothing answers at http://127.0.0.1:1"), "nothing answers at http://127.0.0.1:1"),
        (Played(slow=0.6), r"is known to \d+\.\d ms only, and this load needs 200 ms"),
    ],
    ids=["another version", "can't reach the system", "a clock too far away"],
)
def test_a_worker_that_can_not_take_part_is_refused_in_one_line(lead, worker, says, monkeypatch):
    """Which one, why, and before anything was sent."""
    monkeypatch.setattr("bench.load.roll.MEASURING", 2.0)
    with pytest.raises(LoadError, match=says) as caught:
        lead(Willing(), worker)
    assert "worker 2 of 2 (pid 4711 on elsewhere)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bound_that_can_not_be_divided_is_refused(lead):
    """One job in flight for two workers: one of them would drop everything."""
    with pytest.raises(LoadError, match="--max-in-flight 1 can't be divided"):
        lead(Willing(), Willing(), assignment=replace(ASSIGNMENT, max_in_flight=1))


def test_a_clock_that_is_ahead_is_corrected(lead):
    """The worker is told by how much; one that can't be told from the master's keeps its own."""
    behind, same = Willing(ahead=-40.0), Willing()
    lead(behind, same)
    assert behind.orders["correction"] == pytest.approx(-40, abs=0.2)
    assert same.orders["correction"] == 0


def test_a_clock_that_drifts_is_marked(lead, monkeypatch):
    """Two seconds in one load: its records are not in the master's time."""
    monkeypatch.setattr("bench.load.roll.MEASURING_AGAIN", 10.0)
    _, found = lead(Willing(), Willing(drift=2.0))
    assert [m["detail"][:13] for m in found["marks"] if m["event"] == "clock_drifted"] == ["worker 2 of 2"]


def test_rows_that_do_not_come_are_missed(lead):
    """The worker says how many it sent."""
    fleet, _ = lead(Willing(), Willing(rows_short=1))
    assert fleet.failure.startswith("records are missing: worker 2 of 2 (pid 4711 on elsewhere)")


def test_the_jobs_of_a_lost_worker_are_in_the_books(lead, monkeypatch):
    """Those it had told of, and those that the schedule had for it up to the cut-off."""
    monkeypatch.setattr("bench.load.fleet.SILENCE", 1.0)
    fleet, found = lead(Willing(), Silent())
    assert "was lost: nothing came from it" in fleet.failure
    lost = {job["job"]: job for job in found["jobs"] if job["error"] == "its worker was lost"}
    assert list(lost) == ["mine", "lost-1-1"]
    assert {job["outcome"] for job in lost.values()} == {"unfinished"}
    assert len(found["jobs"]) == 4
    events = [m["event"] for m in found["marks"]]
    assert "worker_lost" in events
    assert "cut_off" in events
    assert "drained" not in events


def test_the_load_may_have_no_end():
    """Orders travel as text, and an endless window with them."""
    endless = replace(ASSIGNMENT, load=Load("closed", size=2, window=inf))
    told = json.loads(json.dumps(asdict(endless)))
    assert Assignment.from_json(told) == endless
