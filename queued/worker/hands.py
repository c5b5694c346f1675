"""The jobs a worker has in hand, from message to acknowledgement, and what the store is told of them.

Each thing is told for all jobs at once, in one round trip; while the store is away it stays to be told.
"""

import logging
import time
from collections import deque
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from queued.backoff import delays
from queued.broker import Consumer, Delivery
from queued.errors import QueuedError
from queued.job import Done, Ending, Failed, Held, Job, Outcome, State, Verdict
from queued.metrics import Watch
from queued.problem import job_failed
from queued.seams import seam
from queued.settings import Settings
from queued.worker.results import Results, Unavailable

log = logging.getLogger(__name__)

APPEAR_EVERY = 10.0
"""Seconds between two signs that this worker consumes; it counts as gone after three times that."""
RENEW_MOST = 1.0
"""Most seconds between two renewals of what runs: that is how soon a cancelled job is ended."""
RETRY_MOST = 1.0
"""Most seconds between two tries to reach the store: leases end meanwhile."""
SETTLE = 0.25
"""Most seconds for which messages of short jobs that are done with are left to gather, while half as many
as are held ahead still wait here for their turn: each acknowledgement costs the broker and the worker one."""
TOGETHER = 8 << 20
"""Bytes of outputs that are told in one round trip, if there is more than one."""


@dataclass(eq=False)
class Hand:
    """A job in hand: begun, and not done with."""

    job: Job
    delivery: Delivery
    attempt: int
    foreign: bool = False
    """It asks for another task, so it fails and goes to the dead letters."""
    progress: float | None = None
    note: str | None = None
    outcome: Outcome | None = None
    """How it ended, until that is stored."""

    @property
    def held(self) -> Held:
        """As the store knows it."""
        return Held(self.job.id, self.job.queue, self.attempt, self.progress, self.note)


class Hands:
    """All of them. Raises Refused where trying again is of no use."""

    def __init__(
        self, name: str, settings: Settings, results: Results, consumer: Consumer, watch: Watch
    ) -> None:
        """`name` is the worker's."""
        self._name = name
        self._settings = settings
        self._results = results
        self._consumer = consumer
        self._watch = watch
        self._fresh: dict[str, tuple[Job, Delivery]] = {}  # to be begun
        self._hands: dict[str, Hand] = {}
        self._waiting: deque[Hand] = deque()  # of the hands: not with a child yet
        self._ended: deque[Hand] = deque()  # of the hands: to be told of
        self._back: list[Hand] = []  # of the hands: to be given back
        self._settled: list[Delivery] = []  # done with: to be acknowledged
        self._settle_at = 0.0
        self._unwanted: list[Hand] = []
        self._renew_every = min(settings.lease / 3, RENEW_MOST)
        self._renew_at = 0.0
        self._renew_all_at = 0.0
        self._appear_at = 0.0
        self._appeared = False
        self._delays = delays(most=RETRY_MOST)
        self._try_at = 0.0

    def __len__(self) -> int:
        """How many are in hand, or about to be."""
        return len(self._hands) + len(self._fresh)

    def __getitem__(self, job_id: str) -> Hand:
        return self._hands[job_id]

    # --- what comes and goes ---

    def receive(self, job: Job, delivery: Delivery, *, wanted: bool) -> None:
        """Take a message in; where it is not wanted, only if its job is in hand already."""
        hand = self._hands.get(job.id)
        if hand is not None:
            if hand.delivery.channel is delivery.channel:
                self._consumer.ack([delivery])
            else:  # the first came over a connection that is lost: this is the one to acknowledge
                log.info("job %s was delivered again while it runs here", job.id, extra={"job": job.id})
                hand.delivery = delivery
        elif not wanted:
            self._consumer.give_back([delivery])
        else:
            _, before = self._fresh.get(job.id, (job, delivery))
            if before is not delivery and before.channel is delivery.channel:
                self._consumer.ack([delivery])
            else:
                self._fresh[job.id] = (job, delivery)

    def take_waiting(self, most: int) -> list[Hand]:
        """Take what is to be given to a child next."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def put_back(self, job_ids: Iterable[str]) -> None:
        """Have these wait for a child again, before all others."""
        self._waiting.extendleft(reversed([self._hands[job_id] for job_id in job_ids]))

    def end(self, hand: Hand, outcome: Outcome) -> None:
        """Note how it ended; the store is told soon."""
        hand.outcome = outcome
        self._ended.append(hand)

    def let_go(self, hand: Hand) -> None:
        """Have done with a job that is not ours any more, or that nobody waits for."""
        del self._hands[hand.job.id]
        self._consumer.ack([hand.delivery])
        self._watch.ended(hand.job, None, None)

    def give_back(self, job_ids: Iterable[str]) -> int:
        """Return these, which children had and have not begun, and all that wait; gives how many."""
        back = [*(self._hands[job_id] for job_id in job_ids), *self._waiting]
        self._waiting.clear()
        self._back += back
        return len(back)

    def leave_fresh(self) -> None:
        """Return what is not begun."""
        self._consumer.give_back([delivery for _, delivery in self._fresh.values()])
        self._fresh.clear()

    def unwanted(self) -> Iterator[Hand]:
        """Give those with a child that are to be ended: cancelled, or another's meanwhile."""
        while self._unwanted:
            yield self._unwanted.pop()

    def leave(self) -> None:
        """Return whatever is left, in hand or not. Raises nothing."""
        rest = [hand for hand in self._hands.values() if hand.outcome is None]
        if rest:
            log.warning("%d jobs in hand go back to the queue", len(rest))
        try:
            if rest:
                self._results.give_back([hand.held for hand in rest])
            for queue in self._consumer.queues if self._appeared else ():
                self._results.vanish(queue, self._name)
        except QueuedError as error:
            log.warning("%s; left without a word", error)
        self._settle()
        # What has ended and could not be told goes back too: its lease will end.
        self._consumer.give_back([hand.delivery for hand in self._hands.values()])
        self.leave_fresh()

    # --- what the store is told ---

    def due(self, appears: bool) -> float:
        """When there is something to tell (monotonic)."""
        if self._ended or self._back or self._fresh:
            return self._try_at
        times = [self._appear_at] if appears else []
        if self._hands:
            times.append(self._renew_at)
        due = max(self._try_at, min(times)) if times else time.monotonic() + APPEAR_EVERY
        return min(due, self._settle_at) if self._settled else due

    def tell(self, appears: bool, running: Container[str]) -> None:
        """Tell the store all there is to tell, unless it was away just now.

        `appears`: this worker can be counted on for new jobs. `running`: ids of what runs at this moment.
        """
        now = time.monotonic()
        if now < self._try_at:
            self._settle()
            return
        try:
            # First of all: a result that can't be stored must not cost the leases of what runs beside it.
            if self._hands and now >= self._renew_at:
                self._renew(running)
            while self._ended:
                self._finish()
            self._settle_soon(now)
            if self._back:
                self._give_back()
            if self._fresh:
                self._begin()
            if appears and now >= self._appear_at:
                self._appear()
        except Unavailable as error:
            log.warning("%s; trying again", error)
            self._try_at = time.monotonic() + next(self._delays)
        else:
            self._delays = delays(most=RETRY_MOST)

    def _finish(self) -> None:
        some: list[Hand] = []
        told: list[tuple[Job, int, Outcome]] = []
        size = 0
        for hand in self._ended:
            outcome = hand.outcome
            assert outcome is not None  # `end` has set it
            size += len(outcome.output) if isinstance(outcome, Done) else 0
            if some and size > TOGETHER:
                break
            some.append(hand)
            told.append((hand.job, hand.attempt, outcome))
        endings = self._results.finish(told)
        seam("after-store")
        if Ending.RETRY in endings:
            seam("before-retry-ack")
        settled: list[Delivery] = []
        buried: list[Delivery] = []
        for hand, ending in zip(some, endings, strict=False):
            self._ended.popleft()
            del self._hands[hand.job.id]
            (buried if ending is Ending.BURY or hand.foreign else settled).append(hand.delivery)
            self._watch.ended(hand.job, hand.outcome, ending)
            if ending is not Ending.FINAL:
                log.info(
                    "job %s: attempt %d failed: %s", hand.job.id, hand.attempt, ending, extra=_about(hand)
                )
        if settled and not self._settled:
            self._settle_at = time.monotonic() + SETTLE
        self._settled += settled
        self._consumer.reject(buried)

    def _settle_soon(self, now: float) -> None:
        """Acknowledge what is done with, unless more of it will be soon."""
        waiting = len(self) - self._settings.concurrency
        plenty = self._settings.short and 2 * waiting >= self._settings.prefetch_short
        if not plenty or now >= self._settle_at:
            self._settle()

    def _settle(self) -> None:
        self._consumer.ack(self._settled)
        self._settled = []

    def _give_back(self) -> None:
        back = self._back
        self._results.give_back([hand.held for hand in back])
        self._back = []
        for hand in back:
            del self._hands[hand.job.id]
            self._watch.ended(hand.job, None, None)
        self._consumer.give_back([hand.delivery for hand in back])

    def _begin(self) -> None:
        fresh = list(self._fresh.values())
        begun = self._results.begin([job for job, _ in fresh], self._name)
        self._fresh.clear()
        dropped: list[Delivery] = []
        buried: list[Delivery] = []
        if not self._hands:
            self._renew_at = time.monotonic() + self._renew_every
            self._renew_all_at = time.monotonic() + self._settings.lease / 3
        for (job, delivery), told in zip(fresh, begun, strict=True):
            about = {"job": job.id}
            match told.verdict:
                case Verdict.RUN:
                    self._take(job, delivery, told.attempt)
                case Verdict.BURY:
                    log.error("job %s goes to the dead letters: it is %s", job.id, told.state, extra=about)
                    buried.append(delivery)
                case Verdict.DROP:
                    log.info("job %s was delivered again, but is %s already", job.id, told.state, extra=about)
                    dropped.append(delivery)
                case Verdict.LEASED:
                    log.info("job %s was delivered again while another attempt lives", job.id, extra=about)
                    dropped.append(delivery)
        self._consumer.ack(dropped)
        self._consumer.reject(buried)

    def _take(self, job: Job, delivery: Delivery, attempt: int) -> None:
        hand = self._hands[job.id] = Hand(job, delivery, attempt)
        self._watch.begun(job, time.time() - job.created)
        if delivery.redelivered and attempt > 1:
            log.info("job %s was delivered again: its last worker was lost", job.id, extra=_about(hand))
        if job.task == self._settings.task:
            self._waiting.append(hand)
        else:
            hand.foreign = True
            why = f"this worker does {self._settings.task}, and the job asks for {job.task}"
            log.error("job %s goes to the dead letters: %s", job.id, why, extra=_about(hand))
            self.end(hand, Failed(job_failed(why)))

    def _renew(self, running: Container[str]) -> None:
        """Renew the leases of what runs, and now and then of what waits here for its turn."""
        now = time.monotonic()
        self._renew_at = now + self._renew_every
        hands = list(self._hands.values())
        everything = now >= self._renew_all_at
        if not everything:
            hands = [hand for hand in hands if hand.job.id in running]
        if not hands:
            return
        states = self._results.renew([hand.held for hand in hands], self._name)
        if everything:
            self._renew_all_at = now + self._settings.lease / 3
        for hand, state in zip(hands, states, strict=True):
            if state in (None, State.RUNNING) or hand.outcome is not None:
                continue
            log.info("job %s is %s: it is no longer run here", hand.job.id, state, extra=_about(hand))
            if hand in self._waiting:
                self._waiting.remove(hand)
                self.let_go(hand)
            else:
                self._unwanted.append(hand)

    def _appear(self) -> None:
        for queue in self._consumer.queues:
            self._results.appear(queue, self._name, self._settings.concurrency)
        self._appear_at = time.monotonic() + APPEAR_EVERY
        self._appeared = True


def _about(hand: Hand) -> dict[str, str]:
    return {"job": hand.job.id}
