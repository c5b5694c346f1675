"""What is known of a job, in a real Redis: the first end stays, whoever comes when."""

import dataclasses
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import redis
from queued_system import eventually

from queued.job import FINAL, Begun, Done, Ending, Failed, Held, Job, Outcome, State, Verdict, new_id
from queued.problem import job_failed, not_enqueued
from queued.settings import Settings
from queued.store import Admission, NewJob, Store, StoreError

pytestmark = pytest.mark.integration

QUEUE = "jobs.sleep"
DONE = Done(b"1", 0.25)
FAILED = Failed(job_failed("ValueError"))
RETRY = Failed(job_failed("ValueError"), 0.25, retry=True)
Make = Callable[..., Store]


@pytest.fixture
def make(store_url: str) -> Iterator[Make]:
    """Makes stores with any settings over the same Redis."""
    made: list[Store] = []

    def make(**chosen: Any) -> Store:
        made.append(Store(Settings("amqp://nowhere:1", store_url, "sleep", **chosen)))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make: Make) -> Store:
    return make(result_ttl=60)


@pytest.fixture
def raw(store_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(store_url) as raw:
        yield raw


def new_job(queue: str = QUEUE, **more: Any) -> Job:
    return Job(new_id(), "sleep", {"seconds": 1}, time.time(), queue=queue, **more)


def submitted(store: Store, **more: Any) -> Job:
    """A job that was accepted."""
    job = new_job(**more)
    (admission,) = store.create([NewJob(job)])
    assert admission == Admission(True, job.id, False, False, admission.expected_wait, admission.ahead)
    return job


def begun(store: Store, worker: str = "w", **more: Any) -> Job:
    """A job that runs, as its first attempt."""
    job = submitted(store, **more)
    assert store.begin([job], worker) == [Begun(Verdict.RUN, State.RUNNING, 1)]
    return job


def state_of(store: Store, job: Job) -> State:
    record = store.record(job.id)
    assert record is not None
    return record.state


# --- ends ---


@pytest.mark.parametrize(("first", "second"), [(DONE, FAILED), (FAILED, DONE), (DONE, RETRY)])
def test_the_first_end_stays(store: Store, first: Outcome, second: Outcome) -> None:
    """A second end, a new attempt, a cancellation or a late refusal changes nothing that was stored."""
    job = begun(store)
    assert store.finish([(job, 1, first)]) == [Ending.FINAL]
    before = store.result(job.id)
    assert store.finish([(job, 1, second)]) == [Ending.FINAL]
    assert store.begin([job], "w") == [Begun(Verdict.DROP, first.state, 1)]
    assert store.refuse(job, not_enqueued("late")) is first.state
    assert store.cancel(job.id) is first.state
    assert store.result(job.id) == before


def test_a_result_from_an_attempt_that_was_thought_lost_is_as_good_as_any(store: Store) -> None:
    """Its worker was stopped for a while; what it has computed need not be computed again."""
    job = begun(store)
    store.give_back([Held(job.id, QUEUE, 1)])
    store.begin([job], "other")
    assert store.finish([(job, 1, FAILED)]) == [Ending.STALE]
    assert state_of(store, job) is State.RUNNING
    assert store.finish([(job, 1, DONE)]) == [Ending.FINAL]
    assert store.renew([Held(job.id, QUEUE, 2)], "other") == [State.DONE]


def test_many_go_in_one_call_each_by_itself(store: Store) -> None:
    """Also more than one script takes, and long outputs among short ones; answers keep their order."""
    jobs = [submitted(store) for _ in range(230)]
    outputs = [b'"' + b"x" * (5_000 if i % 100 == 0 else 5) + b'"' for i in range(230)]
    assert [begun.verdict for begun in store.begin(jobs, "w")] == [Verdict.RUN] * 230
    mixed = [(job, 1, FAILED if i % 7 == 1 else Done(outputs[i], 0.1)) for i, job in enumerate(jobs)]
    store.cancel(jobs[3].id)
    assert store.finish(mixed) == [Ending.FINAL] * 230
    assert state_of(store, jobs[3]) is State.CANCELLED
    for i in (0, 4, 100, 200):
        found = store.result(jobs[i].id)
        assert found is not None
        assert found[1] == outputs[i]
    load = store.load(QUEUE)
    assert (load.waiting, load.running) == (0, 0)
    assert load.counters["begun"] == 230
    assert load.counters["done"] + load.counters["failed"] + load.counters["cancelled"] == 230


def test_an_output_of_megabytes_is_stored_and_read(store: Store) -> None:
    """Longer than any buffer on its way."""
    job = begun(store)
    output = b'"' + random.Random(1).randbytes(4 << 20).hex().encode() + b'"'
    assert store.finish([(job, 1, Done(output, 1.0))]) == [Ending.FINAL]
    found = store.result(job.id)
    assert found is not None
    assert found[1] == output


def test_a_consumer_of_the_posts_kind_needs_neither_job_nor_attempt(store: Store) -> None:
    """It knows an id and an output."""
    job = submitted(store)
    assert store.finish_by_id(job.id, None, Done(b"5", None)) is Ending.FINAL
    assert store.finish_by_id("unknown", None, DONE) is None
    other = begun(store)
    assert store.finish_by_id(other.id, 1, RETRY) is Ending.RETRY


# --- attempts ---


def test_only_one_attempt_lives(store: Store) -> None:
    """A second delivery is told to leave it, whoever has it; also twice in one call."""
    job = submitted(store)
    verdicts = [answer.verdict for answer in store.begin([job, job], "w")]
    assert verdicts == [Verdict.RUN, Verdict.LEASED]
    for worker in ("w", "other"):
        assert store.begin([job], worker) == [Begun(Verdict.LEASED, State.RUNNING, 1)]


def test_a_worker_that_was_lost_is_followed_by_another(make: Make) -> None:
    """When its lease ends and not before; then the first is told to leave it."""
    store = make(lease=0.15)
    job = begun(store, "first")
    assert store.begin([job], "second")[0].verdict is Verdict.LEASED
    eventually(lambda: store.begin([job], "second")[0].verdict is Verdict.RUN, "the lease ends")
    assert store.renew([Held(job.id, QUEUE, 1), Held(job.id, QUEUE, 2)], "second")[1] is State.RUNNING
    assert store.renew([Held(job.id, QUEUE, 1)], "first") == [State.QUEUED]
    assert store.load(QUEUE).counters["lost"] == 1


def test_a_lease_that_is_renewed_does_not_end(make: Make) -> None:
    """However long the job."""
    store = make(lease=0.3)
    job = begun(store)
    until = time.monotonic() + 0.9
    while time.monotonic() < until:
        assert store.renew([Held(job.id, QUEUE, 1)], "w") == [State.RUNNING]
        assert store.begin([job], "other")[0].verdict is Verdict.LEASED
        assert store.abandoned(QUEUE, 0.0, 10) == []
        time.sleep(0.05)


def test_a_worker_goes_on_with_what_was_queued_again_but_not_begun(make: Make) -> None:
    """After an outage of Redis all leases are over: nothing that still runs is to run twice."""
    store = make(lease=0.05)
    job = begun(store)
    eventually(lambda: store.abandoned(QUEUE, 0.0, 10) == [job], "the lease ends")
    store.requeued([job])
    assert state_of(store, job) is State.QUEUED
    lasting = make()
    assert lasting.renew([Held(job.id, QUEUE, 1)], "w") == [State.RUNNING]
    assert lasting.begin([job], "other")[0].verdict is Verdict.LEASED


def test_a_job_that_loses_its_workers_again_and_again_is_given_up(make: Make) -> None:
    """It may be what kills them; its message goes to the dead letters."""
    store = make(lease=0.02, max_losses=2)
    job = begun(store)

    def buried() -> bool:
        return store.begin([job], "w")[0].verdict is Verdict.BURY

    eventually(buried, "it is given up")
    record = store.record(job.id)
    assert record is not None
    assert (record.state, record.attempt) == (State.FAILED, 2)
    assert record.problem is not None
    assert "2 workers were lost" in record.problem.detail
    assert buried()  # also when the broker brings it once more, because the rejection was lost


def test_what_was_not_made_does_not_count(store: Store, make: Make) -> None:
    """Given back three times, a job with one attempt still has it."""
    store = make(max_attempts=2)
    job = submitted(store)
    for attempt in (1, 2, 3):
        assert store.begin([job], "w")[0].attempt == attempt
        store.give_back([Held(job.id, QUEUE, attempt)])
        assert state_of(store, job) is State.QUEUED
    store.begin([job], "w")
    assert store.finish([(job, 4, RETRY)]) == [Ending.RETRY]


def test_a_call_whose_answer_was_lost_can_be_repeated(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether the attempt was begun, so that the same worker asks again, and may run it."""
    job = submitted(store)
    run = store._client.run

    def lose_the_answer(*words: Any, **more: Any) -> None:
        run(*words, **more)
        raise StoreError("the store did not answer")

    with monkeypatch.context() as patch:
        patch.setattr(store._client, "run", lose_the_answer)
        with pytest.raises(StoreError):
            store.begin([job], "w")
    assert store.begin([job], "other")[0].verdict is Verdict.LEASED
    assert store.begin([job], "w") == [Begun(Verdict.RUN, State.RUNNING, 1)]
    assert store.begin([job], "w") == [Begun(Verdict.LEASED, State.RUNNING, 1)]


def test_progress_can_be_read_while_it_runs(store: Store) -> None:
    """Kept between 0 and 1; a new attempt begins without."""
    job = begun(store)
    store.renew([Held(job.id, QUEUE, 1, 1.7, "half way")], "w")
    record = store.record(job.id)
    assert record is not None
    assert (record.progress, record.note) == (1.0, "half way")
    assert record.elapsed is not None
    store.give_back([Held(job.id, QUEUE, 1)])
    store.begin([job], "w")
    record = store.record(job.id)
    assert record is not None
    assert (record.progress, record.note) == (None, None)


# --- failures ---


def test_retries_come_later_and_later_until_the_attempts_are_used_up(make: Make, raw: redis.Redis) -> None:
    """Delays double, with a spread below; a second message that comes early is left alone."""
    store = make(retry_first=10, retry_most=15, max_attempts=4)
    job = submitted(store)
    for attempt, most in ((1, 10), (2, 15), (3, 15)):
        assert store.begin([job], "w") == [Begun(Verdict.RUN, State.RUNNING, attempt)]
        assert store.finish([(job, attempt, RETRY)]) == [Ending.RETRY]
        assert store.begin([job], "w") == [Begun(Verdict.LEASED, State.QUEUED, attempt)]
        assert store.due(QUEUE, 10) == []
        record = store.record(job.id)
        assert record is not None
        assert record.problem == RETRY.problem
        assert record.ahead is None
        assert record.expected_wait is not None
        assert most / 2 - 1 < record.expected_wait <= most
        raw.zadd(f"queued:due:{QUEUE}", {job.id: time.time() - 1})
        assert store.due(QUEUE, 10) == [job]
    store.begin([job], "w")
    assert store.finish([(job, 4, RETRY)]) == [Ending.BURY]
    assert store.finish([(job, 4, RETRY)]) == [Ending.BURY]  # told again, because the answer was lost
    assert state_of(store, job) is State.FAILED
    counters = store.load(QUEUE).counters
    assert (counters["retried"], counters["dead"]) == (3, 1)


def test_what_another_attempt_can_not_help_is_not_tried_again(store: Store) -> None:
    """An input that is not valid stays so."""
    job = begun(store)
    assert store.finish([(job, 1, FAILED)]) == [Ending.FINAL]
    assert store.load(QUEUE).due == 0


def test_an_operator_brings_a_failed_job_back(make: Make, raw: redis.Redis) -> None:
    """As new, with all its attempts; no other state can be brought back."""
    store = make(max_attempts=1)
    job = begun(store)
    assert not store.revive(job)
    assert store.finish([(job, 1, RETRY)]) == [Ending.BURY]
    assert store.revive(job)
    assert not store.revive(job)
    assert raw.ttl(f"queued:job:{job.id}") == -1
    record = store.record(job.id)
    assert record is not None
    assert (record.state, record.problem, record.finished) == (State.QUEUED, None, None)
    assert store.begin([job], "w") == [Begun(Verdict.RUN, State.RUNNING, 2)]
    assert store.finish([(job, 2, DONE)]) == [Ending.FINAL]
    gone = new_job()
    assert store.revive(gone)
    assert state_of(store, gone) is State.QUEUED


# --- refused, cancelled, deleted, expired ---


def test_a_job_that_is_running_can_not_be_refused(store: Store) -> None:
    """Its message got through, so it was accepted; also once it has gone back to the queue."""
    job = begun(store)
    assert store.refuse(job, not_enqueued("late")) is State.RUNNING
    store.give_back([Held(job.id, QUEUE, 1)])
    assert store.refuse(job, not_enqueued("late")) is State.QUEUED


def test_a_refused_job_is_never_begun(store: Store) -> None:
    """Also where its record was not written before."""
    for written in (True, False):
        job = submitted(store) if written else new_job()
        assert store.refuse(job, not_enqueued("no broker")) is State.FAILED
        assert store.begin([job], "w") == [Begun(Verdict.DROP, State.FAILED, 0)]
        record = store.record(job.id)
        assert record is not None
        assert record.problem == not_enqueued("no broker")
        assert record.created == job.created


def test_a_cancelled_job_does_not_start_or_is_left(store: Store) -> None:
    """Queued: no worker begins it. Running: its worker hears of it."""
    queued, running = submitted(store), begun(store)
    for job in (queued, running):
        assert store.cancel(job.id) is State.CANCELLED
    assert store.begin([queued], "w") == [Begun(Verdict.DROP, State.CANCELLED, 0)]
    assert store.renew([Held(running.id, QUEUE, 1)], "w") == [State.CANCELLED]
    assert store.finish([(running, 1, DONE)]) == [Ending.FINAL]
    assert state_of(store, running) is State.CANCELLED
    assert store.cancel("unknown") is None


def test_a_deleted_job_is_gone_for_good(store: Store) -> None:
    """Only one that has ended; a message of it that is delivered again does not run it again."""
    job = begun(store)
    assert not store.delete(job.id)
    store.finish([(job, 1, DONE)])
    assert store.delete(job.id)
    assert not store.delete(job.id)
    assert store.record(job.id) is None
    assert store.begin([job], "w")[0].verdict is Verdict.DROP
    assert store.finish([(job, 1, DONE)]) == [Ending.FINAL]
    assert store.record(job.id) is None


def test_only_ended_jobs_expire(store: Store, raw: redis.Redis) -> None:
    """However long a job waits, it is not forgotten; from its end on its time runs."""
    job = submitted(store)
    assert raw.ttl(f"queued:job:{job.id}") == -1
    store.begin([job], "w")
    assert raw.ttl(f"queued:job:{job.id}") == -1
    store.finish([(job, 1, DONE)])
    assert 0 < raw.ttl(f"queued:job:{job.id}") <= 60


def test_a_result_that_was_fetched_is_kept_for_a_while(make: Make, raw: redis.Redis) -> None:
    """Long enough to fetch it again where the answer was lost; asking again does not prolong it."""
    store = make(fetched_ttl=20)
    job = begun(store)
    store.fetched(job.id)
    assert raw.ttl(f"queued:job:{job.id}") == -1
    store.finish([(job, 1, DONE)])
    store.fetched(job.id)
    assert 15 < raw.ttl(f"queued:job:{job.id}") <= 20
    raw.expire(f"queued:job:{job.id}", 3)
    store.fetched(job.id)
    assert raw.ttl(f"queued:job:{job.id}") <= 3
    assert store.result(job.id) is not None
    raw.delete(f"queued:job:{job.id}")
    assert store.begin([job], "w")[0].verdict is Verdict.DROP


def test_a_job_that_is_too_late_is_not_begun(store: Store) -> None:
    """Past its deadline, or so near that no job ever was so quick: it expires instead."""
    store.finish([(begun(store), 1, Done(b"1", 30.0))])
    late = submitted(store, deadline=time.time() - 1)
    short = submitted(store, deadline=time.time() + 20)
    fine = submitted(store, deadline=time.time() + 100)
    verdicts = [answer.verdict for answer in store.begin([late, short, fine], "w")]
    assert verdicts == [Verdict.DROP, Verdict.DROP, Verdict.RUN]
    assert state_of(store, late) is state_of(store, short) is State.EXPIRED


def test_queued_jobs_expire_by_themselves(store: Store) -> None:
    """Also with no worker there; one that runs may end as it will."""
    deadline = time.time() + 0.2
    running, waiting = begun(store, deadline=deadline), submitted(store, deadline=deadline)
    lasting = submitted(store, deadline=time.time() + 1000)
    eventually(lambda: store.sweep_deadlines(10) == 1, "the deadline passes")
    assert state_of(store, waiting) is State.EXPIRED
    assert (state_of(store, running), state_of(store, lasting)) == (State.RUNNING, State.QUEUED)
    assert store.load(QUEUE).waiting == 1


# --- what was lost ---


def test_an_unknown_job_is_unknown(store: Store) -> None:
    """Neither read nor ended; but a message of it makes it known: it is proof enough that it was accepted."""
    job, other = new_job(request_id="theirs", owner="ann"), new_job()
    assert store.record(job.id) is None
    assert store.result(job.id) is None
    assert store.renew([Held(job.id, QUEUE, 1)], "w") == [None]
    assert store.begin([job], "w") == [Begun(Verdict.RUN, State.RUNNING, 1)]
    record = store.record(job.id)
    assert record is not None
    assert (record.state, record.input, record.owner) == (State.RUNNING, b'{"seconds":1}', "ann")
    assert store.finish([(other, 3, DONE)]) == [Ending.FINAL]
    assert state_of(store, other) is State.DONE


def test_a_job_whose_message_is_gone_is_found(store: Store, raw: redis.Redis) -> None:
    """The queue is empty while it waits, or one that came later was begun; noted, it is not found again."""
    gone, later = submitted(store), submitted(store)
    assert store.overdue(QUEUE, True, 60.0, 10) == []
    raw.zadd(f"queued:waiting:{QUEUE}", {gone.id: time.time() - 100})
    assert store.overdue(QUEUE, False, 60.0, 10) == []
    assert store.overdue(QUEUE, True, 60.0, 10) == [gone]
    store.begin([later], "w")
    assert store.overdue(QUEUE, False, 60.0, 10) == [gone]
    store.requeued([gone])
    assert store.overdue(QUEUE, False, 60.0, 10) == store.overdue(QUEUE, True, 60.0, 10) == []
    assert store.load(QUEUE).counters["requeued"] == 1


def test_a_retry_that_was_begun_before_it_was_noted_stays_as_it_is(make: Make, raw: redis.Redis) -> None:
    """The keeper publishes a retry, and a worker is quicker than the keeper's note of it."""
    store = make(retry_first=100, retry_most=100)
    job = begun(store)
    store.finish([(job, 1, RETRY)])
    raw.zadd(f"queued:due:{QUEUE}", {job.id: time.time() - 1})
    (found,) = store.due(QUEUE, 10)
    store.begin([job], "w")
    store.requeued([found])
    assert store.load(QUEUE).waiting == 0
    store.finish([(job, 2, RETRY)])
    store.requeued([found])
    assert store.load(QUEUE) == dataclasses.replace(store.load(QUEUE), waiting=0, due=1)


def test_one_keeper_acts(make: Make) -> None:
    """Until it has not been heard of for as long as it said."""
    store = make()
    assert store.hold_keeper("a", 0.3)
    assert store.hold_keeper("a", 0.3)
    assert not store.hold_keeper("b", 0.3)
    eventually(lambda: store.hold_keeper("b", 60), "the keeper is followed by another")
    assert not store.hold_keeper("a", 0.3)


# --- admission ---


def test_a_repeated_submission_is_the_first(store: Store) -> None:
    """The same key and content; with other content it is a conflict; another owner's key is another."""
    first, again, other = new_job(owner="ann"), new_job(owner="ann"), new_job(owner="ann")
    admitted, replayed, conflict = store.create(
        [NewJob(first, "key", "f"), NewJob(again, "key", "f"), NewJob(other, "key", "g")]
    )
    assert (admitted.accepted, admitted.replayed) == (True, False)
    assert (replayed.accepted, replayed.replayed, replayed.job_id) == (True, True, first.id)
    assert (conflict.accepted, conflict.conflict, conflict.job_id) == (False, True, first.id)
    assert store.record(again.id) is None
    assert store.record(other.id) is None
    (elsewhere,) = store.create([NewJob(new_job(owner="bob"), "key", "g")])
    assert (elsewhere.accepted, elsewhere.replayed) == (True, False)
    (answer_lost,) = store.create([NewJob(first, "key", "f")])
    assert (answer_lost.accepted, answer_lost.replayed, answer_lost.job_id) == (True, False, first.id)


def test_a_job_that_was_submitted_again_is_not_refused(store: Store) -> None:
    """The second submission was told that it is accepted: the first one's time-out must not end the job."""
    first = new_job()
    store.create([NewJob(first, "key", "f")])
    assert store.create([NewJob(new_job(), "key", "f")])[0].job_id == first.id
    assert store.refuse(first, not_enqueued("late")) is State.QUEUED
    assert state_of(store, first) is State.QUEUED
    assert store.create([NewJob(new_job(), "key", "f")])[0].job_id == first.id


def test_a_job_that_came_back_overtakes_nobody(store: Store) -> None:
    """Given back or published again, it waits as if it were new, though its message may stand at the head."""
    back, again, behind = submitted(store), submitted(store), submitted(store)
    store.begin([back], "w")
    store.give_back([Held(back.id, QUEUE, 1)])
    store.requeued([again])
    store.begin([back, again], "w")
    assert store.overdue(QUEUE, False, 0.0, 10) == []
    newer = submitted(store)
    store.begin([newer], "w")
    assert store.overdue(QUEUE, False, 0.0, 10) == [behind]


def test_a_key_lives_as_long_as_its_job(store: Store, raw: redis.Redis) -> None:
    """A refused or deleted job frees it; else it expires with the job."""
    refused, deleted, third = new_job(), new_job(), new_job()
    store.create([NewJob(refused, "key", "f")])
    store.refuse(refused, not_enqueued("no broker"))
    assert not store.create([NewJob(deleted, "key", "f")])[0].replayed
    store.cancel(deleted.id)
    (name,) = raw.keys("queued:key:*")
    assert 0 < raw.ttl(name) <= 60
    assert store.create([NewJob(new_job(), "key", "f")])[0].job_id == deleted.id
    store.delete(deleted.id)
    assert not store.create([NewJob(third, "key", "f")])[0].replayed


def test_what_would_wait_too_long_is_not_taken(make: Make) -> None:
    """The expected wait follows from what is before it, how long jobs take and how many go at a time."""
    store = make(max_wait=10)
    unknown = [store.create([NewJob(new_job())])[0].expected_wait for _ in range(3)]
    assert unknown == [None, None, None]
    store.finish([(begun(store), 1, Done(b"1", 4.0))])
    store.appear(QUEUE, "w", 2)
    waits = [store.create([NewJob(new_job())])[0] for _ in range(6)]
    assert [admission.ahead for admission in waits] == [3, 4, 5, 6, 6, 6]
    assert [admission.expected_wait for admission in waits] == [6.0, 8.0, 10.0, 12.0, 12.0, 12.0]
    assert [admission.accepted for admission in waits] == [True, True, True, False, False, False]
    load = store.load(QUEUE)
    assert (load.waiting, load.expected_wait, load.service_time) == (6, 12.0, 4.0)
    assert load.counters["rejected"] == 3


def test_what_is_more_urgent_comes_first(make: Make) -> None:
    """Where there are priorities the same workers serve them all: what waits and runs there counts."""
    store = make(priorities=True)
    high, normal, low = (f"{QUEUE}.high", QUEUE, f"{QUEUE}.low")
    for queue in (high, normal, low):
        store.finish([(begun(store, queue=queue), 1, Done(b"1", 4.0))])
        store.appear(queue, "w", 1)
    begun(store, queue=low)
    jobs = [new_job(queue=queue) for queue in (low, normal, high, low)]
    assert [store.create([NewJob(job)])[0].ahead for job in jobs] == [0, 0, 0, 3]
    (answer,) = store.create([NewJob(new_job(queue=low))])
    assert (answer.ahead, answer.expected_wait) == (4, 18.0)
    assert store.load(low).expected_wait == 22.0
    assert store.load(high).expected_wait == 6.0
    record = store.record(jobs[3].id)
    assert record is not None
    assert (record.ahead, record.expected_wait) == (3, 14.0)
    assert (store.load(normal).running, store.load(low).running) == (0, 1)


def test_a_queue_has_an_end(make: Make) -> None:
    """Retries to come count too; nothing is written of what is refused."""
    store = make(max_queued=2, retry_first=60, retry_most=60)
    store.finish([(begun(store), 1, RETRY)])
    answers = store.create([NewJob(new_job()) for _ in range(3)])
    assert [answer.accepted for answer in answers] == [True, False, False]
    assert store.record(answers[1].job_id) is None


def test_workers_count_while_they_are_there(store: Store, raw: redis.Redis) -> None:
    """Each with its slots, once, until it goes or is not heard of."""
    for _ in range(2):
        store.appear(QUEUE, "host-1", 2)
        store.appear(QUEUE, "host-2", 3)
    assert (store.load(QUEUE).workers, store.load(QUEUE).slots) == (2, 5)
    store.vanish(QUEUE, "host-1")
    assert (store.load(QUEUE).workers, store.load(QUEUE).slots) == (1, 3)
    raw.zadd(f"queued:workers:{QUEUE}", {"host-2/3": time.time() - 1})
    assert store.load(QUEUE).slots == 0


def test_a_waiting_job_knows_its_place(store: Store) -> None:
    """How many are before it, and how long that takes."""
    store.finish([(begun(store), 1, Done(b"1", 4.0))])
    store.appear(QUEUE, "w", 1)
    jobs = [submitted(store) for _ in range(3)]
    records = [store.record(job.id) for job in jobs]
    assert [record.ahead for record in records if record] == [0, 1, 2]
    assert [record.expected_wait for record in records if record] == [0.0, 4.0, 8.0]
    store.begin(jobs[:1], "w")
    record = store.record(jobs[2].id)
    assert record is not None
    assert (record.ahead, record.expected_wait, record.service_time) == (1, 6.0, 4.0)


def test_the_service_time_follows_the_jobs(store: Store) -> None:
    """A running mean, in which the newest counts a tenth."""
    for run in (1.0, 2.0):
        store.finish([(begun(store), 1, Done(b"1", run))])
    assert store.load(QUEUE).service_time == pytest.approx(1.1)
    oldest = submitted(store)
    waited = store.load(QUEUE).oldest
    assert waited is not None
    assert 0 <= waited < 30
    store.cancel(oldest.id)
    assert store.load(QUEUE).oldest is None


# --- webhooks ---


def test_an_end_is_to_be_told_where_the_client_asked_for_it(store: Store) -> None:
    """However it ended, once; but not of a job that was refused: its client knows."""
    url = "https://hooks.example/"
    done, cancelled, refused = (submitted(store, callback=url) for _ in range(3))
    submitted(store)
    store.begin([done], "w")
    store.finish([(done, 1, DONE), (done, 1, DONE)])
    store.cancel(cancelled.id)
    store.refuse(refused, not_enqueued("no broker"))
    hooks = {hook.job_id: hook for hook in store.hooks_due(10)}
    assert {job_id: hook.state for job_id, hook in hooks.items()} == {
        done.id: State.DONE,
        cancelled.id: State.CANCELLED,
    }
    assert (hooks[done.id].url, hooks[done.id].task, hooks[done.id].tries) == (url, "sleep", 0)
    assert hooks[done.id].created == done.created
    assert store.hooks_due(10) == []  # another caller does not get them too
    store.hook_later(done.id, time.time() - 1, 3)
    store.hook_done(cancelled.id)
    (hook,) = store.hooks_due(10)
    assert (hook.job_id, hook.tries) == (done.id, 3)
    store.hook_done(done.id)
    store.hook_later(done.id, 0, 4)
    assert store.hooks_due(10) == []


# --- many at once ---


def test_half_a_character_is_no_reason_to_fail(store: Store) -> None:
    """JSON can hold what is no text; it is stored as a question mark."""
    job = submitted(store, request_id="\ud800", callback="https://hooks.example/\udfff")
    store.begin([job], "w")
    assert store.renew([Held(job.id, QUEUE, 1, None, "\ud800 done")], "w") == [State.RUNNING]
    record = store.record(job.id)
    assert record is not None
    assert record.note == "? done"


def test_many_at_once_never_go_backward(store: Store) -> None:
    """Two workers, a refusal, a cancellation and foreign updates at the same time: one end, for everybody."""
    dice = random.Random(7)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            job = submitted(store)
            acts: list[Callable[[], object]] = [
                lambda job=job: store.begin([job], "one")[0].state,
                lambda job=job: store.begin([job], "two")[0].state,
                lambda job=job: store.finish([(job, 1, DONE)])[0],
                lambda job=job: store.finish([(job, 1, FAILED)])[0],
                lambda job=job: store.refuse(job, not_enqueued("late")),
                lambda job=job: store.cancel(job.id),
            ]
            dice.shuffle(acts)
            told = [future.result() for future in [pool.submit(act) for act in acts]]
            ends = {state for state in told if state in FINAL}
            assert ends <= {state_of(store, job)}
            assert state_of(store, job) in FINAL
    load = store.load(QUEUE)
    assert (load.waiting, load.running, load.due) == (0, 0, 0)


def test_an_absent_store_is_told_without_its_address() -> None:
    """One line that a client may read."""
    settings = Settings("amqp://nowhere:1", "redis://:hunter2@127.0.0.1:1/0", "sleep")
    with closing(Store(settings)) as store, pytest.raises(StoreError, match=r"^the store can't be reached$"):
        store.record("id")
