"""A load that is divided among processes is the load that one process would send."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bench.load.arrivals import schedule
from bench.load.progress import Standing, together
from bench.load.split import WHOLE, Part
from bench.plan import Load

PROCESSES = st.integers(1, 40)


@given(st.lists(st.floats(0, 1e6), max_size=200), PROCESSES)
def test_each_arrival_belongs_to_one_process(instants, processes):
    """The parts together are the schedule, each in order, and none has two jobs more than another."""
    planned = sorted(instants)
    parts = [Part(n, processes).arrivals(planned) for n in range(processes)]
    assert Counter(moment for part in parts for moment in part) == Counter(planned)
    assert all(part == sorted(part) for part in parts)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(0, 100_000), PROCESSES)
def test_the_shares_of_a_number_add_up(whole, processes):
    """As even as whole numbers can be; so many jobs in flight are allowed to all together."""
    shares = [Part(n, processes).amount(whole) for n in range(processes)]
    assert sum(shares) == whole
    assert max(shares) - min(shares) <= 1


def test_every_process_has_the_whole_load_in_small():
    """Neighbours in time go to different processes: no process sends while the others rest."""
    planned = schedule(Load("constant", rate=10, window=2), 1)
    first, second = (Part(n, 2).arrivals(planned) for n in (0, 1))
    assert all(a < b for a, b in zip(first, second, strict=True))
    assert all(b < a for a, b in zip(first[1:], second[:-1], strict=True))


def test_one_process_has_all_of_it():
    """Nothing is copied wrongly where there is nothing to divide."""
    planned = schedule(Load("poisson", rate=10, window=5), 3)
    assert WHOLE.arrivals(planned) == planned
    assert WHOLE.amount(7) == 7


def test_the_standing_of_all_is_the_sum():
    """Counts add up, the last instants are the last of any, and arrivals are over when all are."""
    one = Standing(
        launched=5, sent=4, in_flight=1, in_time=3, arrivals_over=True, last_arrival=7, last_sign=8, cpu=1.5
    )
    other = Standing(launched=2, sent=2, late=1, rejected=1, failed=1, users_done=2, last_sign=9, cpu=0.5)
    both = together([one, other])
    assert (both.launched, both.sent, both.in_flight, both.in_time, both.late) == (7, 6, 1, 3, 1)
    assert (both.rejected, both.failed, both.users_done, both.cpu) == (1, 1, 2, 2.0)
    assert (both.last_arrival, both.last_sign, both.arrivals_over) == (7, 9, False)
