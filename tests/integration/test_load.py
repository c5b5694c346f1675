"""Whole loads against a server that does as it is told: every job is accounted for, exactly."""

import json
import resource
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import gevent
import pytest
from stub_server import Reply, StubServer

from bench.load.asking import Setting
from bench.load.assignment import Assignment
from bench.load.connections import FILES_OF_ITS_OWN
from bench.load.crowd import Crowd
from bench.load.exchange import origin_of
from bench.load.recorder import Recorder
from bench.load.session import Session
from bench.load.verifier import Verifier
from bench.plan import Load

SPIN = {"seconds": 0.01, "gil": "held"}
BURST = Load("burst", size=10, window=0)
ASSIGNMENT = Assignment(
    label="stub spin",
    face="run",
    task="spin",
    value=SPIN,
    load=BURST,
    seed=1,
    deadline=1.2,
    patience=4.0,
    poll_interval=0.02,
    drain_limit=5,
)
"""Limits far enough apart that a machine that stands still for a second changes no outcome."""


class Done:
    """What a session left behind."""

    def __init__(self, folder: Path, session: Session, table: Counter[tuple[str, str, bool]]) -> None:
        self.jobs, self.requests, self.marks = (
            [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
            for name in ("jobs", "requests", "marks")
        )
        self.progress = session.progress
        self.table = table
        """Locust's table: (type, name, failed) → count."""

    @property
    def outcomes(self) -> dict[str, int]:
        return dict(Counter(job["outcome"] for job in self.jobs))

    @property
    def events(self) -> list[str]:
        return [mark["event"] for mark in self.marks]


@pytest.fixture
def carry_out(tmp_path):
    """Run an assignment against a stub server to its end; `verifier` and `during(session)` as wanted."""

    def run(server, assignment=ASSIGNMENT, verifier=None, during=None):
        table: Counter[tuple[str, str, bool]] = Counter()

        def report(kind, name, _seconds, _size, failure):
            table[(kind, name, bool(failure))] += 1

        setting = Setting(
            assignment=assignment,
            origin=origin_of(server.url),
            recorder=Recorder(tmp_path),
            verifier=verifier or Verifier(assignment.task, assignment.value),
            report=report,
        )
        crowd = Crowd(setting)
        session = Session(setting, crowd)
        users = assignment.load.size if crowd.closed else 1
        started = [gevent.spawn(crowd.use if crowd.closed else crowd.dispatch) for _ in range(users)]
        if during is not None:
            started.append(gevent.spawn(during, session))
        session.supervise()
        gevent.joinall(started, timeout=5)
        return Done(tmp_path, session, table)

    return run


# --- how a job ends ---


def scripted(*replies: Reply):
    return StubServer(lambda n: replies[n])


def test_a_blocking_load_ends_in_exactly_the_ways_the_server_gave(carry_out):
    """2 in time, 1 late, 1 × 503, 1 × 429, 1 × 504, 1 × 502, 1 dropped, 1 wrong, 1 that never answers."""
    with scripted(
        Reply(),
        Reply(delay=0.05),
        Reply(delay=1.8),
        Reply(status=503),
        Reply(status=429),
        Reply(status=504),
        Reply(status=502),
        Reply(drop=True),
        Reply(output={"seconds": 9}),
        Reply(delay=20),
    ) as server:
        done = carry_out(server)
    assert done.outcomes == {
        "ok": 3,
        "rejected": 2,
        "gateway_timeout": 1,
        "error": 2,
        "wrong": 1,
        "gave_up": 1,
    }
    assert (done.progress.in_time, done.progress.late) == (2, 1)
    assert (done.progress.rejected, done.progress.failed, done.progress.in_flight) == (2, 5, 0)
    assert done.table["JOB", "stub spin", False] == 2
    assert done.table["JOB", "stub spin", True] == 8
    assert done.table["POST", "/run", False] == 4  # HTTP knows nothing of late and wrong
    assert Counter(job["status"] for job in done.jobs) == {200: 4, 503: 1, 429: 1, 504: 1, 502: 1, 0: 2}
    assert done.events == ["load_started", "window_started", "window_ended", "drained"]


@pytest.mark.parametrize("face", ["jobs", "published"])
def test_a_polled_load_ends_in_exactly_the_ways_the_server_gave(carry_out, face):
    """3 in time, 1 late, 2 rejected, 1 × 504, 1 failed by the worker, 1 wrong, 1 forgotten: unfinished."""
    with scripted(
        Reply(),
        Reply(delay=0.05),
        Reply(delay=0.05, polls=(502, 503, 504, 0, 429)),
        Reply(delay=1.8),
        Reply(status=503),
        Reply(status=429),
        Reply(status=504),
        Reply(fails=True),
        Reply(output={"seconds": 9}),
        Reply(forget=True),
    ) as server:
        done = carry_out(server, replace(ASSIGNMENT, face=face))
        asked_for_forgotten = len(server.jobs["job9"].asked)
    assert done.outcomes == {
        "ok": 4,
        "rejected": 2,
        "gateway_timeout": 1,
        "error": 1,
        "wrong": 1,
        "unfinished": 1,
    }
    assert (done.progress.in_time, done.progress.late) == (3, 1)
    assert done.events[-1] == "cut_off"
    # A job the server does not know is not asked for in a tight loop.
    assert 1 <= asked_for_forgotten <= ASSIGNMENT.drain_limit + 1
    (unfinished,) = [job for job in done.jobs if job["outcome"] == "unfinished"]
    assert unfinished["accepted"] is not None
    assert unfinished["done"] - unfinished["arrival"] >= ASSIGNMENT.drain_limit
    assert unfinished["error"] == "HTTP 404: no such job"


def test_a_result_after_the_deadline_is_seen(carry_out):
    """A polling client goes on after the deadline, so that late is told from never."""
    with StubServer(lambda _: Reply(delay=1.5)) as server:
        done = carry_out(server, replace(ASSIGNMENT, face="jobs"))
    assert done.outcomes == {"ok": 10}
    assert done.progress.late == 10
    assert all(1.5 <= job["done"] - job["arrival"] < ASSIGNMENT.drain_limit for job in done.jobs)


def test_the_504_is_the_gateways(carry_out):
    """A blocking client waits longer than the gateway, and gives up only when that says nothing either."""
    with StubServer(lambda n: Reply(delay=1.5, status=504) if n % 2 else Reply(delay=20)) as server:
        done = carry_out(server, replace(ASSIGNMENT, drain_limit=10))
    assert done.outcomes == {"gateway_timeout": 5, "gave_up": 5}


def test_jobs_beyond_the_bound_are_dropped_and_counted(carry_out):
    """What the generator does not send is in the books, with no instant of sending."""
    with StubServer(lambda _: Reply(delay=1.0)) as server:
        done = carry_out(server, replace(ASSIGNMENT, max_in_flight=4))
    assert done.outcomes == {"ok": 4, "dropped": 6}
    assert all(job["sent"] is None for job in done.jobs if job["outcome"] == "dropped")
    assert len(server.submitted) == 4
    assert done.progress.dropped == 6


def test_the_limit_on_open_files_is_a_bound_too(carry_out):
    """The generator's own failure to open a connection must not pass for the system's."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with StubServer(lambda _: Reply(delay=1.0)) as server:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_OF_ITS_OWN + 6, limits[1]))
        try:
            done = carry_out(server)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert done.outcomes == {"ok": 6, "dropped": 4}


def test_nothing_but_the_bound_holds_jobs_back(carry_out):
    """300 jobs of three seconds each are all in the server at once: no pool stands in an arrival's way."""
    load = Load("burst", size=300, window=0)
    with StubServer(lambda _: Reply(delay=3.0)) as server:
        done = carry_out(server, replace(ASSIGNMENT, load=load, deadline=10, patience=10, drain_limit=10))
    assert done.outcomes == {"ok": 300}
    assert max(job["sent"] for job in done.jobs) < min(job["done"] for job in done.jobs)


def test_a_failing_server_is_in_the_books(carry_out):
    """Nothing listens: every job is an error that says so."""
    with StubServer() as server:
        pass
    done = carry_out(server)
    assert done.outcomes == {"error": 10}
    assert {job["error"] for job in done.jobs} == {"connection refused"}


def test_a_job_is_started_once_however_its_connection_ends(carry_out):
    """A dropped `GET /factorial` is not sent again: that would be a second job."""
    with StubServer(lambda _: Reply(drop=True), faces=("get",)) as server:
        done = carry_out(server, replace(ASSIGNMENT, face="get"))
    assert done.outcomes == {"error": 10}
    assert len(server.submitted) == 10


def test_submissions_that_are_accepted_without_an_id_are_errors(carry_out):
    """Nothing can be polled then, and waiting for the cut-off would hide whose fault it is."""
    with StubServer(lambda _: Reply(status=202)) as server:
        done = carry_out(server, replace(ASSIGNMENT, face="jobs"))
    assert done.outcomes == {"error": 10}
    assert "without a Location or an id" in done.jobs[0]["error"]


# --- times ---


def test_latency_counts_from_the_arrival(carry_out):
    """A generator that comes late does not make the system look fast: arrival stays what was due."""
    load = Load("constant", rate=20, window=0.5)

    def stall(_session):
        gevent.sleep(0.35)
        time.sleep(0.2)  # not gevent's: the whole generator stands still

    with StubServer() as server:
        done = carry_out(server, replace(ASSIGNMENT, load=load), during=stall)
    start = next(mark["t"] for mark in done.marks if mark["event"] == "load_started")
    arrivals = sorted(job["arrival"] - start for job in done.jobs)
    assert arrivals == pytest.approx([0.025 + 0.05 * n for n in range(10)], abs=1e-3)
    delays = [job["sent"] - job["arrival"] for job in done.jobs]
    assert max(delays) > 0.1
    assert all(job["done"] - job["arrival"] >= job["sent"] - job["arrival"] for job in done.jobs)


def test_verification_is_not_part_of_the_response_time(carry_out):
    """A check that takes long delays nobody's clock: the job was done when its last byte was here."""

    class Slow(Verifier):
        def objection(self, body):
            time.sleep(1.0)
            return ""

    load = Load("burst", size=1, window=0)
    with StubServer() as server:
        done = carry_out(server, replace(ASSIGNMENT, load=load), verifier=Slow("spin", SPIN))
    (job,) = done.jobs
    assert job["done"] - job["sent"] < 1.0


def test_what_the_server_says_it_spent_is_kept(carry_out):
    """Server-Timing in milliseconds becomes wait and run in seconds."""
    with StubServer() as server:
        done = carry_out(server)
    assert {(job["wait"], job["run"]) for job in done.jobs} == {(0.0025, 0.04)}


def test_a_polling_client_waits_as_long_as_the_server_asks(carry_out):
    """Retry-After is the least time to the next poll; the client's own interval holds where it is longer."""
    load = Load("burst", size=1, window=0)
    reply = Reply(delay=1.9, retry_after="1")
    with StubServer(lambda _: reply) as server:
        done = carry_out(server, replace(ASSIGNMENT, face="jobs", load=load, drain_limit=5))
        first, second = server.jobs["job0"].asked
    assert second - first >= 1.0
    assert [job["polls"] for job in done.jobs] == [2]


def test_a_retry_after_of_zero_leaves_the_interval_to_the_client(carry_out):
    """The header never makes a client poll more often than it would by itself."""
    load = Load("burst", size=1, window=0)
    with StubServer(lambda _: Reply(delay=0.6, retry_after="0")) as server:
        done = carry_out(server, replace(ASSIGNMENT, face="jobs", load=load, poll_interval=0.1))
    assert 2 <= done.jobs[0]["polls"] <= 7


# --- records ---


def test_every_request_is_recorded_under_its_job(carry_out):
    """Submission, each poll and the fetching of the result, with status and size."""
    with StubServer(lambda _: Reply(delay=0.1)) as server:
        done = carry_out(server, replace(ASSIGNMENT, face="jobs"))
        assert sorted(server.submitted) == sorted(job["job"] for job in done.jobs)
    kinds = Counter(request["kind"] for request in done.requests)
    assert kinds["submit"] == kinds["result"] == 10
    assert kinds["poll"] == sum(job["polls"] for job in done.jobs)
    assert {request["job"] for request in done.requests} == {job["job"] for job in done.jobs}
    assert all(request["bytes"] > 0 and request["elapsed"] > 0 for request in done.requests)


@pytest.mark.parametrize("keep_alive", [True, False])
def test_a_users_polls_share_its_connection_where_the_server_allows(carry_out, keep_alive):
    """One connection a job, as a browser keeps it; a server that closes each time is asked anew."""
    with StubServer(lambda _: Reply(delay=0.1), keep_alive=keep_alive) as server:
        done = carry_out(server, replace(ASSIGNMENT, face="jobs"))
        connections = server.connections
    assert done.outcomes == {"ok": 10}
    assert connections == (10 if keep_alive else len(done.requests))


def test_warmup_jobs_are_marked_and_the_marks_bound_the_window(carry_out):
    """Phase follows the arrival, and the marks carry the planned instants, not when somebody woke up."""
    load = Load("constant", rate=20, warmup=0.3, window=0.5)
    with StubServer() as server:
        done = carry_out(server, replace(ASSIGNMENT, load=load))
    at = {mark["event"]: mark["t"] for mark in done.marks}
    assert at["window_started"] - at["load_started"] == pytest.approx(0.3)
    assert at["window_ended"] - at["window_started"] == pytest.approx(0.5)
    assert Counter(job["phase"] for job in done.jobs) == {"warmup": 6, "window": 10}
    for job in done.jobs:
        assert (job["arrival"] < at["window_started"]) == (job["phase"] == "warmup")


def test_the_load_ends_as_soon_as_the_last_job_has(carry_out):
    """The drain limit is a limit, not a waiting time."""
    with StubServer(lambda _: Reply(delay=0.1)) as server:
        done = carry_out(server, replace(ASSIGNMENT, drain_limit=60))
    at = {mark["event"]: mark["t"] for mark in done.marks}
    assert at["drained"] == max(job["done"] for job in done.jobs)
    assert at["drained"] - at["window_ended"] < 20


def test_a_cut_off_keeps_what_is_in_flight_as_unfinished(carry_out):
    """Stopped early: every job that had arrived is in the books, the ones in flight with a lower bound."""
    load = Load("constant", rate=20, window=30)

    def stop(session):
        while session.progress.in_time < 5:
            gevent.sleep(0.01)
        session.cut_off("stopped")
        session.cut_off("stopped twice")

    with StubServer(lambda n: Reply(delay=0 if n % 2 else 20)) as server:
        done = carry_out(server, replace(ASSIGNMENT, load=load, deadline=20, patience=30), during=stop)
    assert done.events == ["load_started", "window_started", "cut_off"]
    assert done.marks[-1]["detail"] == "stopped"
    assert set(done.outcomes) == {"ok", "unfinished"}
    assert done.outcomes["ok"] >= 5
    assert done.outcomes["unfinished"] >= 5
    cut = [request for request in done.requests if request["error"] == "cut off"]
    assert len(cut) == done.outcomes["unfinished"]
    assert {job["job"] for job in done.jobs} >= set(server.submitted)


# --- closed ---


def test_closed_users_have_one_job_at_a_time_each(carry_out):
    """Three users for a second: never more than three in flight, and each goes on at once."""
    load = Load("closed", size=3, window=1.0)
    with StubServer(lambda _: Reply(delay=0.1)) as server:
        done = carry_out(server, replace(ASSIGNMENT, load=load))
    assert 9 <= len(done.jobs) <= 30
    moments = [(job["sent"], 1) for job in done.jobs] + [(job["done"], -1) for job in done.jobs]
    level = peak = 0
    for _, step in sorted(moments):
        level += step
        peak = max(peak, level)
    assert peak == 3


def test_closed_users_think(carry_out):
    """Think time lies between a result and the same user's next job."""
    load = Load("closed", size=1, window=1.0, think=0.4)
    with StubServer() as server:
        done = carry_out(server, replace(ASSIGNMENT, load=load))
    sent = sorted(job["sent"] for job in done.jobs)
    assert 2 <= len(sent) <= 3
    assert all(b - a >= 0.4 for a, b in pairwise(sent))


@pytest.mark.parametrize("window", [0, 0.05])
def test_closed_users_with_a_number_of_jobs_do_just_these(carry_out, window):
    """Six users with two jobs each are twelve jobs, however long that takes."""
    load = Load("closed", size=6, window=window, jobs_per_user=2)
    with StubServer(lambda _: Reply(delay=0.1)) as server:
        done = carry_out(server, replace(ASSIGNMENT, load=load))
    assert done.outcomes == {"ok": 12}
    assert done.events[-1] == "drained"


def test_a_lost_job_does_not_keep_a_closed_load_for_ever(carry_out):
    """A user whose first of two jobs is lost never comes to the second; the load is cut off all the same."""
    load = Load("closed", size=2, jobs_per_user=2)
    with StubServer(lambda n: Reply(forget=n == 0)) as server:
        done = carry_out(server, replace(ASSIGNMENT, face="jobs", load=load))
    assert done.outcomes == {"ok": 2, "unfinished": 1}
    assert done.events[-1] == "cut_off"


# --- failures of the generator's own ---


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_ends_the_load_and_is_told(tmp_path):
    """A load that can't be recorded is not carried on with."""
    for name in ("jobs.jsonl", "requests.jsonl", "marks.jsonl"):
        (tmp_path / name).symlink_to("/dev/full")
    load = Load("constant", rate=10, window=20)
    with StubServer() as server:
        setting = Setting(
            replace(ASSIGNMENT, load=load),
            origin_of(server.url),
            Recorder(tmp_path),
            Verifier("spin", SPIN),
            lambda *_: None,
        )
        crowd = Crowd(setting)
        session = Session(setting, crowd)
        gevent.spawn(crowd.dispatch)
        began = time.monotonic()
        with pytest.raises(OSError, match="No space left"):
            session.supervise()
    assert time.monotonic() - began < load.window
    assert session.over.is_set()
