"""Queueing theory against published tables, other formulas for the same, and what must hold of any queue."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.queueing import MDc, MGc, MMc, ProcessorSharing, erlang_b, erlang_c, fit_scaling

SERVERS = st.integers(1, 40)
UTILISATION = st.floats(0.01, 0.97)


@pytest.mark.parametrize(
    ("servers", "load", "lost"),
    # The usual tables: the load in Erlang at which so many lines lose 1 % (0.1 %, 10 %) of the calls.
    [
        (1, 0.0101, 0.01),
        (2, 0.153, 0.01),
        (5, 1.361, 0.01),
        (10, 4.461, 0.01),
        (20, 12.03, 0.01),
        (50, 37.90, 0.01),
        (100, 84.06, 0.01),
        (10, 3.092, 0.001),
        (10, 7.511, 0.1),
    ],
)
def test_erlang_b_is_what_the_tables_have(servers: int, load: float, lost: float) -> None:
    """To the digits that they print."""
    assert erlang_b(servers, load) == pytest.approx(lost, rel=5e-3)


def test_erlang_b_of_a_thousand_lines_is_a_probability() -> None:
    """The textbook's quotient of powers and factorials overflows there."""
    assert 0 < erlang_b(1000, 950) < 0.01


@given(UTILISATION)
def test_erlang_c_of_one_and_two_servers_is_known(utilisation: float) -> None:
    """ρ for one server, 2ρ²/(1 + ρ) for two."""
    assert erlang_c(1, utilisation) == pytest.approx(utilisation)
    assert erlang_c(2, 2 * utilisation) == pytest.approx(2 * utilisation**2 / (1 + utilisation))


@pytest.mark.parametrize(("servers", "load"), [(-1, 1.0), (1, -0.1), (1, math.nan)])
def test_what_no_system_can_be_is_refused(servers: int, load: float) -> None:
    """With what was wrong."""
    with pytest.raises(ValueError, match="servers ≥ 0"):
        erlang_b(servers, load)
    with pytest.raises(ValueError, match="a server at least"):
        erlang_c(0, 1.0)


@given(UTILISATION)
def test_one_server_waits_as_pollaczek_and_khinchine_say(utilisation: float) -> None:
    """Mean wait ρ·S·(1 + v²) / (2·(1 - ρ)): all three models agree where they mean the same."""
    expected = utilisation / (1 - utilisation)
    assert MMc(utilisation, 1.0, 1).mean_wait == pytest.approx(expected)
    assert MGc(utilisation, 1.0, 1, 0.0).mean_wait == pytest.approx(expected / 2)
    assert MDc(utilisation, 1.0, 1).mean_wait == pytest.approx(expected / 2, rel=1e-9)


@settings(deadline=None)  # the series is long
@given(SERVERS, UTILISATION)
def test_constant_service_times_wait_as_crommelins_series_says(servers: int, utilisation: float) -> None:
    """His own sum, which is another way to the mean than through the number in the system; its terms are
    differences of large numbers, good to six digits near capacity.
    """
    load = servers * utilisation
    assert MDc(load, 1.0, servers).mean_wait == pytest.approx(crommelin(servers, load), rel=1e-5, abs=1e-10)


def crommelin(servers: int, load: float) -> float:
    """Mean wait in service times: Σ_i [P(N ≥ i·c) - (c/a)·P(N > i·c)], N Poisson with mean i·a."""
    total, i = 0.0, 0
    while True:
        i += 1
        mean, least = i * load, i * servers
        term = math.exp(least * math.log(mean) - mean - math.lgamma(least + 1))
        first, above, n = term, 0.0, least
        while True:
            n += 1
            term *= mean / n
            above += term
            if term < above * 1e-17 or term == 0.0:
                break
        part = first + above - above * servers / load
        total += part
        if part < 1e-13 * max(total, 1e-12) or i > 20_000:
            return total


@given(SERVERS, UTILISATION, st.floats(0.0, 6.0))
def test_a_percentile_of_the_wait_inverts_its_distribution(
    servers: int, utilisation: float, seconds: float
) -> None:
    """For both models that know the distribution exactly; and no wait is less likely than a longer one."""
    for model in (MMc(servers * utilisation, 1.0, servers), MDc(servers * utilisation, 1.0, servers)):
        beyond = model.waits_longer(seconds)
        assert 0 <= beyond <= 1
        assert model.waits_longer(seconds + 0.1) <= beyond + 1e-12
        assert model.waits_longer(0.0) == pytest.approx(model.must_wait, abs=1e-9)
        assert model.waits_longer(-1.0) == 1.0
        if 1e-9 < beyond < model.must_wait - 1e-9:
            assert model.wait_percentile(1 - beyond) == pytest.approx(seconds, abs=1e-5)
        assert model.wait_percentile(1 - model.must_wait * 1.0001 - 1e-9) == 0.0


@settings(deadline=None, max_examples=20)
@given(SERVERS, UTILISATION)
def test_the_mean_is_the_area_over_the_distribution(servers: int, utilisation: float) -> None:
    """E[W] = ∫ P(W > t) dt, so that mean and distribution of the constant case are of one piece."""
    model = MDc(servers * utilisation, 1.0, servers)
    step, area, at = 0.02, 0.0, 0.0
    while (height := model.waits_longer(at + step / 2)) > 1e-7 and at < 30:
        area += height * step
        at += step
    if at < 30:
        assert area == pytest.approx(model.mean_wait, rel=0.01, abs=1e-4)


@given(SERVERS, st.floats(1.0, 3.0))
def test_above_capacity_there_is_no_steady_wait(servers: int, utilisation: float) -> None:
    """Infinite, and never a number that looks like one."""
    rate = servers * utilisation
    for model in (MMc(rate, 1.0, servers), MDc(rate, 1.0, servers), MGc(rate, 1.0, servers, 0.5)):
        assert model.mean_wait == model.mean_response == model.wait_percentile(0.5) == math.inf
        assert model.must_wait == 1.0
    assert ProcessorSharing(rate, 1.0, servers).mean_response == math.inf


@given(SERVERS, UTILISATION)
def test_constant_service_is_about_half_the_wait(servers: int, utilisation: float) -> None:
    """Allen and Cunneen's approximation stays near the exact value; exponential times wait longer."""
    load = servers * utilisation
    exact, exponential = MDc(load, 1.0, servers).mean_wait, MMc(load, 1.0, servers).mean_wait
    assert exact <= exponential + 1e-10
    if utilisation > 0.7 and exact > 0.01:  # of a wait that is worth the name
        assert MGc(load, 1.0, servers, 0.0).mean_wait == pytest.approx(exact, rel=0.25)
    assert MGc(load, 1.0, servers, 1.0).mean_wait == pytest.approx(exponential)


@given(UTILISATION, st.floats(0.01, 100.0))
def test_time_is_measured_in_any_unit(utilisation: float, service_time: float) -> None:
    """Twice the service time at half the rate is twice the wait."""
    one, other = MDc(2 * utilisation, 1.0, 2), MDc(2 * utilisation / service_time, service_time, 2)
    assert other.mean_wait == pytest.approx(one.mean_wait * service_time, rel=1e-6)
    assert other.wait_percentile(0.95) == pytest.approx(one.wait_percentile(0.95) * service_time, abs=1e-4)


def test_shared_cores_treat_all_sizes_alike() -> None:
    """One core: S/(1 - ρ), ten times that for ten times the work; two cores: as many as M/M/2 has inside."""
    assert ProcessorSharing(0.8, 1.0, 1).mean_response == pytest.approx(5.0)
    assert ProcessorSharing(0.8, 1.0, 1).response_of(10.0) == pytest.approx(50.0)
    assert ProcessorSharing(1.0, 1.0, 2).mean_response == pytest.approx(4 / 3)
    with pytest.raises(ValueError, match="one core only"):
        ProcessorSharing(0.8, 1.0, 2).response_of(1.0)


@given(st.floats(0.1, 1000), st.floats(0, 0.9), st.floats(0, 0.2))
def test_a_law_is_found_again_from_its_own_points(one: float, contention: float, coherency: float) -> None:
    """All three coefficients, and the best count that follows from them."""
    counts = [1, 2, 3, 4, 6, 8, 12, 16]
    measured = [one * n / (1 + contention * (n - 1) + coherency * n * (n - 1)) for n in counts]
    found = fit_scaling(counts, measured)
    assert found is not None
    assert found.per_worker == pytest.approx(one, rel=1e-4)
    assert found.contention == pytest.approx(contention, abs=1e-4)
    assert found.coherency == pytest.approx(coherency, abs=1e-5)
    assert found.residual < 1e-4
    assert [found.throughput(n) for n in counts] == pytest.approx(measured, rel=1e-3)


def test_workers_that_never_harm_have_no_best_count() -> None:
    """Straight lines too; and of two points, or of nothing, no law is claimed."""
    found = fit_scaling([1, 2, 4], [10.0, 20.0, 40.0])
    assert found is not None
    assert (found.best, found.contention, found.coherency) == (math.inf, 0, 0)
    assert fit_scaling([1, 2, 2], [10.0, 20.0, 21.0]) is None
    assert fit_scaling([1, 2, 4], [10.0, math.nan, 0.0]) is None


def test_throughput_that_falls_again_has_a_best_count_between() -> None:
    """sqrt((1 - α)/β)."""
    found = fit_scaling([1, 2, 4, 8, 16], [10.0, 18.0, 28.0, 30.0, 20.0])
    assert found is not None
    assert 4 < found.best < 12
    assert found.throughput(found.best) >= max(found.throughput(n) for n in range(1, 17)) * 0.999
