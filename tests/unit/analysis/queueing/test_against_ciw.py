"""Our job-by-job simulations against Ciw's, an independent one: the same jobs, the same end for each.

G. I. Palmer, V. A. Knight, P. R. Harper and A. L. Hawa, "Ciw: An open-source discrete event simulation
library", Journal of Simulation 13(1), 2019; its PSNode is limited processor sharing.
"""

import math

import ciw
import numpy as np
import pytest

from bench.analysis.queueing import MDc, MMc
from bench.analysis.queueing.limited_sharing import Service, serve
from bench.analysis.queueing.simulation import fifo_starts

COUNT = 1_500


def jobs(seed, rate=0.8):
    """Arrivals and gamma-distributed work."""
    random = np.random.default_rng(seed)
    return np.cumsum(random.exponential(1 / rate, COUNT)), random.gamma(2.0, 0.5, COUNT)


def by_ciw(arrivals, work, slots, cores=None):
    """When each job ends. `cores`: shared by the slots; None: each has its own."""
    sharing = {} if cores is None else {"ps_thresholds": [cores]}
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*np.diff(arrivals, prepend=0.0), math.inf])],
        service_distributions=[ciw.dists.Sequential(list(work))],
        number_of_servers=[slots],
        **sharing,
    )
    simulation = ciw.Simulation(network, node_class=ciw.Node if cores is None else ciw.PSNode)
    simulation.simulate_until_max_customers(len(arrivals), method="Finish")
    records = sorted(simulation.get_all_records(), key=lambda r: r.id_number)
    assert len(records) == len(arrivals)
    assert [r.arrival_date for r in records] == pytest.approx(list(arrivals))
    return np.array([r.exit_date for r in records]), np.array([r.service_time for r in records])


@pytest.mark.parametrize("servers", [1, 2, 5])
def test_a_queue_in_order_of_arrival_is_the_same_job_by_job(servers) -> None:
    """Waits and ends."""
    arrivals, work = jobs(servers, rate=0.85 * servers)
    ends, _ = by_ciw(arrivals, work, servers)
    assert fifo_starts(arrivals, work, servers) + work == pytest.approx(ends)


@pytest.mark.parametrize(("slots", "cores"), [(math.inf, 1), (math.inf, 2), (3, 1), (4, 2), (2, 1.5)])
def test_limited_sharing_is_the_same_job_by_job(slots, cores) -> None:
    """Threads under a lock, threads on two cores, and boxes with more workers than cores; a fraction too."""
    arrivals, _ = jobs(11, rate=0.8 * cores)
    # Jobs all alike: Ciw draws the work when a job begins, we when it comes; so order plays no part.
    work = np.ones(COUNT)
    ends, _ = by_ciw(arrivals, work, slots, cores)
    service = Service(None if math.isinf(slots) else slots, cores)
    assert serve(arrivals, work, np.zeros(COUNT), service).ends == pytest.approx(ends, abs=1e-6)


@pytest.mark.parametrize(
    ("model", "service"),
    [
        (MMc(1.0, 1.0, 2), ciw.dists.Exponential(rate=1.0)),
        (MDc(1.0, 1.0, 2), ciw.dists.Deterministic(value=1.0)),
    ],
)
def test_formulas_agree_with_what_ciw_draws_itself(model, service) -> None:
    """Mean wait of its own arrivals and services at 50 %, within what chance allows."""
    ciw.seed(7)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=model.rate)],
        service_distributions=[service],
        number_of_servers=[model.servers],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(10_000)
    waits = [r.waiting_time for r in simulation.get_all_records() if r.arrival_date > 500]
    assert np.mean(waits) == pytest.approx(model.mean_wait, rel=0.1)
