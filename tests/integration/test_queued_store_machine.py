"""Two workers, a canceller, a keeper and an operator at one store, in any order that Hypothesis thinks of."""

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from queued.job import FINAL, FOLLOWS, Done, Ending, Failed, Held, Job, State, Verdict, new_id
from queued.problem import job_failed, not_enqueued
from queued.settings import Settings
from queued.store import Begun, NewJob, Record, Store

pytestmark = pytest.mark.integration

QUEUE = "jobs.machine"
MAX_ATTEMPTS = 3
MAX_LOSSES = 4
LONG = 3600.0
"""Seconds: no lease and no delay ends by itself here; the machine ends them."""

SLOTS = st.integers(0, 1)
SELDOM = st.sampled_from([False, False, False, False, True])
"""Most jobs are to live for long."""
HOW = st.sampled_from(["retry", "retry", "retry", "failed", "done"])
WORKERS = st.sampled_from(["host-1", "host-2"])


@dataclass
class Known:
    """What the machine knows of a job, from what it did to it."""

    job: Job
    state: State = State.QUEUED
    attempt: int = 0
    holder: str | None = None
    """Who may run it: the store said RUN, and the lease has not ended since."""
    pending: bool = False
    """It waits for its next attempt, and that is not due."""
    failures: int = 0
    losses: int = 0
    late: bool = False
    """Its deadline is over."""
    end: tuple[Record, bytes] | None = None
    """What could be read of it when it ended."""
    buried: int = 0
    """The attempt after which it was given up, where it was."""
    retried: int = 0
    """The attempt whose failure was told last."""
    given_back: bool = False
    tickets: list[tuple[str, int]] = field(default_factory=list)
    """Every worker and attempt that was ever told RUN."""


class Machine(RuleBasedStateMachine):
    """Does anything to any job, and checks each answer and all of the store after each."""

    def __init__(self, store: Store, raw: redis.Redis) -> None:
        super().__init__()
        self.store, self.raw = store, raw
        self.known: dict[str, Known] = {}
        self.slots = ["", ""]
        self.found: list[Job] = []
        raw.flushdb()

    # --- the web and its clients ---

    @initialize()
    def start(self) -> None:
        self.submit(0, deadline=False)
        self.submit(1, deadline=True)

    @rule(slot=SLOTS, deadline=st.booleans())
    def submit(self, slot: int, deadline: bool) -> None:
        """Where a job has ended another begins: few at a time, so that much happens to each."""
        if self.slots[slot] and self.known[self.slots[slot]].end is None:
            return
        job = Job(new_id(), "task", 1, 5.0, queue=QUEUE, deadline=4e9 if deadline else None)
        (admission,) = self.store.create([NewJob(job)])
        assert admission.accepted
        self.known[job.id] = Known(job)
        self.slots[slot] = job.id

    @rule(slot=SLOTS)
    def submit_again(self, slot: int) -> None:
        """The publisher did not hear the answer."""
        known = self.known[self.slots[slot]]
        if known.end is None:
            (admission,) = self.store.create([NewJob(known.job)])
            assert (admission.accepted, admission.job_id) == (True, known.job.id)

    @rule(slot=SLOTS, seldom=SELDOM)
    def refuse(self, slot: int, seldom: bool) -> None:
        known = self.known[self.slots[slot]]
        if known.attempt == 0 and not seldom:
            return
        state = self.store.refuse(known.job, not_enqueued("no broker"))
        if known.state is State.QUEUED and known.attempt == 0:
            self.ended(known, State.FAILED)
        assert state is known.state

    @rule(slot=SLOTS, seldom=SELDOM)
    def cancel(self, slot: int, seldom: bool) -> None:
        known = self.known[self.slots[slot]]
        if known.end is None and not seldom:
            return
        state = self.store.cancel(known.job.id)
        if known.end is None:
            self.ended(known, State.CANCELLED)
        assert state is known.state

    # --- workers ---

    @rule(slot=SLOTS, worker=WORKERS)
    def begin(self, slot: int, worker: str) -> None:
        """Whoever has its message; there may be several of it at any time."""
        known = self.known[self.slots[slot]]
        (begun,) = self.store.begin([known.job], worker)
        if known.end is not None:
            assert begun.verdict is (Verdict.BURY if known.buried else Verdict.DROP)
        elif known.holder is not None or known.pending:
            assert begun.verdict is Verdict.LEASED
        else:
            self.taken(known, worker, begun)
        assert (begun.state, begun.attempt) == (known.state, known.attempt)

    def taken(self, known: Known, worker: str, begun: Begun) -> None:
        if known.state is State.RUNNING:
            known.losses += 1
        if known.losses >= MAX_LOSSES:
            assert begun.verdict is Verdict.BURY
            known.buried = known.attempt
            self.ended(known, State.FAILED)
        elif known.late:
            assert begun.verdict is Verdict.DROP
            self.ended(known, State.EXPIRED)
        else:
            assert begun.verdict is Verdict.RUN
            known.state, known.holder, known.attempt = State.RUNNING, worker, known.attempt + 1
            known.given_back = False
            known.tickets.append((worker, known.attempt))

    @rule(slot=SLOTS, which=st.integers(0, 9), progress=st.none() | st.floats(0, 1))
    def renew(self, slot: int, which: int, progress: float | None) -> None:
        """A worker that still believes in its attempt, rightly or not."""
        known = self.known[self.slots[slot]]
        if not known.tickets:
            return
        worker, attempt = known.tickets[which % len(known.tickets)]
        (state,) = self.store.renew([Held(known.job.id, QUEUE, attempt, progress, "note")], worker)
        if known.end is not None:
            assert state is known.state
        elif attempt == known.attempt and known.retried != attempt and not known.given_back:
            assert state is State.RUNNING
            if known.state is State.QUEUED:  # it was not lost after all
                known.losses -= 1
            known.state, known.holder = State.RUNNING, worker
        else:
            assert state is State.QUEUED

    @rule(slot=SLOTS, which=st.integers(0, 9), how=HOW, twice=st.booleans())
    def finish(self, slot: int, which: int, how: str, twice: bool) -> None:
        """Any attempt ever begun is told of, perhaps for the second time."""
        known = self.known[self.slots[slot]]
        if not known.tickets:
            return
        _, attempt = known.tickets[which % len(known.tickets)]
        outcome = Done(b"1", 0.1) if how == "done" else Failed(job_failed(how), 0.1, retry=how == "retry")
        (ending,) = self.store.finish([(known.job, attempt, outcome)])
        if twice:  # the first answer was lost
            assert self.store.finish([(known.job, attempt, outcome)]) == [ending]
        if known.end is not None:
            again = how == "retry" and known.buried == attempt
            assert ending is (Ending.BURY if again else Ending.FINAL)
        elif how == "done":
            assert ending is Ending.FINAL
            self.ended(known, State.DONE)
        elif attempt < known.attempt:
            assert ending is Ending.STALE
        elif how == "failed":
            assert ending is Ending.FINAL
            self.ended(known, State.FAILED)
        elif known.retried == attempt:
            assert ending is Ending.RETRY
        else:
            known.failures += 1
            known.retried = attempt
            known.buried = attempt if known.failures >= MAX_ATTEMPTS else 0
            assert ending is (Ending.BURY if known.buried else Ending.RETRY)
            if known.buried:
                self.ended(known, State.FAILED)
            else:
                known.state, known.holder, known.pending = State.QUEUED, None, True

    @rule(slot=SLOTS, which=st.integers(0, 9))
    def give_back(self, slot: int, which: int) -> None:
        known = self.known[self.slots[slot]]
        if not known.tickets:
            return
        _, attempt = known.tickets[which % len(known.tickets)]
        self.store.give_back([Held(known.job.id, QUEUE, attempt)])
        if known.state is State.RUNNING and attempt == known.attempt:
            known.state, known.holder, known.given_back = State.QUEUED, None, True

    # --- time ---

    @rule(slot=SLOTS)
    def the_lease_ends(self, slot: int) -> None:
        known = self.known[self.slots[slot]]
        self.raw.zadd(f"queued:running:{QUEUE}", {known.job.id: 1.0}, xx=True)
        known.holder = None

    @rule(slot=SLOTS, worker=WORKERS)
    def another_takes_over(self, slot: int, worker: str) -> None:
        self.the_lease_ends(slot)
        self.the_retry_is_due(slot)
        self.begin(slot, worker)

    @rule(slot=SLOTS)
    def the_retry_is_due(self, slot: int) -> None:
        known = self.known[self.slots[slot]]
        self.raw.zadd(f"queued:due:{QUEUE}", {known.job.id: 1.0}, xx=True)
        known.pending = False

    @rule(slot=SLOTS, seldom=SELDOM)
    def the_deadline_passes(self, slot: int, seldom: bool) -> None:
        known = self.known[self.slots[slot]]
        if seldom and known.job.deadline is not None and known.end is None:
            self.raw.hset(f"queued:job:{known.job.id}", "deadline", "1.0")
            self.raw.zadd("queued:deadlines", {known.job.id: 1.0}, xx=True)
            known.late = True

    # --- the keeper and the operator ---

    @rule(finds=st.sampled_from(["due", "overdue", "abandoned"]))
    def the_keeper_finds(self, finds: str) -> None:
        """It publishes them again; until it notes so anything may happen, its own death too."""
        self.found = {
            "due": lambda: self.store.due(QUEUE, 100),
            "overdue": lambda: self.store.overdue(QUEUE, True, -1.0, 100),
            "abandoned": lambda: self.store.abandoned(QUEUE, 0.0, 100),
        }[finds]()
        for job_id, known in self.known.items():
            waits = known.state is State.QUEUED and not known.pending
            expected = {
                "due": waits and self.stands(job_id, "due"),
                "overdue": waits and self.stands(job_id, "waiting"),
                "abandoned": known.state is State.RUNNING and known.holder is None,
            }[finds]
            assert (job_id in {job.id for job in self.found}) == expected

    @rule()
    def the_keeper_notes(self) -> None:
        self.store.requeued(self.found)
        for job in self.found:
            known = self.known[job.id]
            if known.state is State.QUEUED and not known.pending:
                assert self.stands(job.id, "waiting")
            if known.state is State.RUNNING and known.holder is None:
                known.state, known.losses = State.QUEUED, known.losses + 1

    @rule()
    def an_outage(self) -> None:
        """Nobody could renew a lease, and the keeper is the first to be back."""
        for slot in (0, 1):
            self.the_lease_ends(slot)
        self.the_keeper_finds("abandoned")
        self.the_keeper_notes()

    @rule()
    def sweep(self) -> None:
        late = [known for known in self.known.values() if known.late and known.state is State.QUEUED]
        assert self.store.sweep_deadlines(100) == len(late)
        for known in late:
            self.ended(known, State.EXPIRED)

    @rule(slot=SLOTS)
    def revive(self, slot: int) -> None:
        known = self.known[self.slots[slot]]
        assert self.store.revive(known.job) == (known.state is State.FAILED)
        if known.state is State.FAILED:
            self.known[known.job.id] = Known(
                known.job, attempt=known.attempt, late=known.late, tickets=known.tickets, given_back=True
            )

    # --- what always holds ---

    def ended(self, known: Known, state: State) -> None:
        assert known.state in FOLLOWS[state]
        known.state, known.holder, known.pending = state, None, False
        known.end = self.store.result(known.job.id)

    def stands(self, job_id: str, index: str) -> bool:
        return self.raw.zscore(f"queued:{index}:{QUEUE}", job_id) is not None

    def teardown(self) -> None:
        """What ended long ago is as it was then."""
        for known in self.known.values():
            assert known.end is None or known.end == self.store.result(known.job.id)

    @invariant()
    def the_state_is_what_it_must_be(self) -> None:
        for job_id in self.slots:
            known = self.known[job_id]
            found = self.store.result(job_id)
            assert found is not None
            assert found[0].state is known.state
            assert found[0].attempt == known.attempt
            if known.end is not None:
                assert known.state in FINAL
                assert found == known.end
                assert self.raw.ttl(f"queued:job:{job_id}") > 0
            else:
                assert self.raw.ttl(f"queued:job:{job_id}") == -1
                losses = self.raw.hget(f"queued:job:{job_id}", "losses")
                assert int(losses or 0) == known.losses

    @invariant()
    def the_indices_agree(self) -> None:
        for job_id in self.slots:
            known = self.known[job_id]
            stands = {index for index in ("waiting", "running", "due") if self.stands(job_id, index)}
            match known.state:
                case State.RUNNING:
                    assert stands == {"running"}
                case State.QUEUED:
                    assert stands == ({"due"} if known.pending else stands & {"waiting", "due"})
                    assert len(stands) == 1
                    watched = self.raw.zscore("queued:deadlines", job_id) is not None
                    assert watched == (known.job.deadline is not None)
                case _:
                    assert stands == set()
                    assert self.raw.zscore("queued:deadlines", job_id) is None
        load = self.store.load(QUEUE)
        states = [known.state for known in self.known.values()]
        assert load.running == states.count(State.RUNNING)
        assert load.waiting + load.due == states.count(State.QUEUED)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    chosen = Settings(
        "amqp://nowhere:1",
        store_url,
        "task",
        lease=LONG,
        max_attempts=MAX_ATTEMPTS,
        max_losses=MAX_LOSSES,
        retry_first=LONG,
        retry_most=LONG,
    )
    with closing(Store(chosen)) as store:
        yield store


def test_no_order_of_events_breaks_a_promise(store: Store, store_url: str) -> None:
    """One final state, which stays; one live attempt; transitions as allowed; indices as the states are."""
    with redis.Redis.from_url(store_url) as raw:
        run_state_machine_as_test(
            lambda: Machine(store, raw),
            settings=settings(
                max_examples=40,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )


@pytest.mark.parametrize("seed", range(8))
def test_no_long_life_breaks_a_promise(store: Store, store_url: str, seed: int) -> None:
    """The same by dice: longer lives, with everything possible in each, than Hypothesis would try."""
    with redis.Redis.from_url(store_url) as raw:
        walk(Machine(store, raw), random.Random(seed))


def walk(machine: Machine, dice: random.Random) -> None:
    """Do 500 things, each as likely as in a storm."""
    machine.start()
    for _ in range(500):
        slot, which, twice = dice.randrange(2), dice.randrange(10), dice.random() < 0.3
        worker, seldom = dice.choice(["host-1", "host-2"]), dice.random() < 0.2
        how = dice.choice(["retry", "retry", "retry", "failed", "done"])
        finds = dice.choice(["due", "overdue", "abandoned"])
        act, words = dice.choice(
            [
                (machine.submit, (slot, twice)),
                (machine.submit_again, (slot,)),
                (machine.refuse, (slot, seldom)),
                (machine.cancel, (slot, seldom)),
                (machine.begin, (slot, worker)),
                (machine.another_takes_over, (slot, worker)),
                (machine.renew, (slot, which, which / 10)),
                (machine.finish, (slot, which, how, twice)),
                (machine.give_back, (slot, which)),
                (machine.the_lease_ends, (slot,)),
                (machine.the_retry_is_due, (slot,)),
                (machine.the_deadline_passes, (slot, seldom)),
                (machine.the_keeper_finds, (finds,)),
                (machine.the_keeper_notes, ()),
                (machine.an_outage, ()),
                (machine.sweep, ()),
                (machine.revive, (slot,)),
            ]
        )
        act(*words)
        machine.the_state_is_what_it_must_be()
        machine.the_indices_agree()
    machine.teardown()
