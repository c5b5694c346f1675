"""What a search says of itself: every way it can end has words, and JSON that any reader takes."""

import io
import json
import math

import pytest
from played_figures import played, played_trial
from rich.console import Console

from bench.analysis.across.knee import Crossover, Knee
from bench.analysis.across.search import Edge, Rung, edge
from bench.report.found import Found, as_json, crossing, sentence, terminal

SLO = "p95<2s, timeouts<1%"


def knee(*rungs, workers=2, seconds=0.2):
    """A search that took these rungs: rate and whether the promise was kept."""
    taken = tuple(Rung(rate, passed) for rate, passed in rungs)
    figures = tuple(played(played_trial(r.rate), seconds=seconds) for r in taken if r.passed is not None)
    return Knee(workers, edge(taken), 20.0, taken, figures)


def crossover(*rungs, ours=0.25, theirs=0.2):
    """A search in which the system won (True) or not at these rates."""
    taken = tuple(Rung(rate, None if won is None else not won) for rate, won in rungs)
    pairs = tuple(
        (played(played_trial(r.rate), seconds=ours), played(played_trial(r.rate), seconds=theirs))
        for r in taken
        if r.passed is not None
    )
    return Crossover("gunicorn", 2, edge(taken), taken, pairs)


BOTH = knee((10.0, True), (12.0, False))
NEVER = knee((10.0, False), (1.0, False))
ALWAYS = knee((10.0, True), (80.0, True))
UNKNOWN = knee((14.0, None), (14.0, None), (14.0, None))


def said(*knees, crossing=None, width=200):
    """The terminal's words."""
    out = io.StringIO()
    Console(file=out, width=width).print(terminal(Found("queued", SLO, knees, crossing)))
    return out.getvalue()


def row(text):
    """The cells of the only row of the table."""
    (line,) = [line for line in text.splitlines() if line.startswith("│")]
    return [cell.strip() for cell in line.strip("│").split("│")]


# --- one system ---


def test_an_edge_with_two_sides_is_told_as_an_interval():
    """With what it is of the capacity that S alone would allow, and the times at its lower side."""
    text = said(BOTH)
    assert row(text) == ["2", "10 jobs/s", "12 jobs/s", "20 jobs/s", "200 ms", "200 ms", "2"]
    assert (
        f"queued with 2 workers keeps {SLO} up to between 10 and 12 jobs/s, 0.55 of what S alone would allow."
        in text
    )


def test_what_never_kept_its_promise_sustains_nothing():
    """Not even the lowest rate; and there are no times to show."""
    text = said(NEVER)
    assert row(text) == ["2", "nothing", "1 job/s", "20 jobs/s", "–", "–", "2"]
    assert f"queued with 2 workers does not keep {SLO} even at 1 job/s." in text


def test_what_always_kept_it_was_measured_no_higher():
    """No upper end is made up, nor anything promised beyond."""
    text = said(ALWAYS)
    assert row(text)[1:3] == ["80 jobs/s", "–"]
    assert f"queued with 2 workers keeps {SLO} even at 80 jobs/s, the highest rate measured." in text


def test_of_nothing_believable_nothing_is_said():
    """Least of all that it sustains nothing."""
    text = said(UNKNOWN)
    assert row(text) == ["2", "–", "–", "20 jobs/s", "–", "–", "3"]
    assert "queued with 2 workers: no trial could be believed, so nothing can be said." in text
    assert "nothing │" not in text


def test_each_worker_count_has_its_row_and_its_sentence():
    """In the order in which they were asked for; threads do not come in workers."""
    text = said(knee((4.0, True), (5.0, False), workers=1), BOTH)
    assert text.index("queued with 1 worker keeps") < text.index("queued with 2 workers keeps")
    assert sum(line.startswith("│") for line in text.splitlines()) == 2
    threads = knee((4.0, True), (5.0, False), workers=None)
    assert row(said(threads))[0] == "–"
    assert sentence(Found("blocking", SLO, (threads,), None), threads).startswith("blocking keeps ")


def test_a_percentile_that_is_not_known_there_is_a_dash():
    """And one that was not reached says so."""
    few = Knee(2, Edge(3.0, 4.0), 20.0, (Rung(3.0, True),), (played(played_trial(3.0), arrivals=30),))
    assert row(said(few))[4:6] == ["200 ms", "–"]
    failing = played(played_trial(3.0), in_time=80)
    some = Knee(2, Edge(3.0, 4.0), 20.0, (Rung(3.0, True),), (failing,))
    assert row(said(some))[4:6] == ["200 ms", "not reached"]


# --- two systems ---


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            crossover((4.0, False), (5.0, True)),
            "queued gives more users a result in time than gunicorn from between 4 and 5 jobs/s on. "
            "Below, it adds 50 ms (median).",
        ),
        (
            crossover((4.0, False), (5.0, True), ours=0.2, theirs=0.5),
            "queued gives more users a result in time than gunicorn from between 4 and 5 jobs/s on. "
            "Below, it saves 300 ms (median).",
        ),
        (
            crossover((4.0, False), (5.0, True), ours=math.inf),
            "queued gives more users a result in time than gunicorn from between 4 and 5 jobs/s on.",
        ),
        (
            crossover((4.0, True), (1.0, True)),
            "queued gives more users a result in time than gunicorn already at 1 job/s.",
        ),
        (
            crossover((4.0, False), (60.0, False)),
            "Up to 60 jobs/s, the highest rate measured, queued gives no more users a result in time than "
            "gunicorn. Below, it adds 50 ms (median).",
        ),
        (
            crossover((4.0, None)),
            "queued against gunicorn: no trial could be believed, so nothing can be said.",
        ),
    ],
    ids=["found", "and cheaper below", "cost unknown", "at once", "never", "not believable"],
)  # fmt: skip
def test_the_crossover_in_words(found, words):
    """From where on, and what it costs below: a negative cost is a gain."""
    assert crossing("queued", found) == words
    assert words in said(BOTH, crossing=found)


def test_without_a_rival_there_is_no_word_of_one():
    """Only the knees."""
    assert "in time" not in said(BOTH)
    assert "crossover" not in as_json(Found("queued", SLO, (BOTH,), None))


# --- JSON ---


def strict(found):
    """As another program reads it: Infinity and NaN are no JSON."""
    return json.loads(json.dumps(as_json(found), allow_nan=False))


def test_json_has_both_sides_and_every_rung():
    """Rates in jobs per second."""
    (told,) = strict(Found("queued", SLO, (BOTH,), None))["knees"]
    assert (told["workers"], told["sustains"], told["fails"], told["capacity"]) == (2, 10.0, 12.0, 20.0)
    assert told["unmeasured"] is None
    assert told["trials"] == [{"rate": 10.0, "kept": True}, {"rate": 12.0, "kept": False}]


def test_json_says_null_where_there_is_no_figure():
    """Infinity for what always kept it; no figure at all where nothing was believed; 0 where nothing held."""
    always, unknown, never = strict(Found("queued", SLO, (ALWAYS, UNKNOWN, NEVER), None))["knees"]
    assert (always["sustains"], always["fails"]) == (80.0, None)
    assert (unknown["sustains"], unknown["fails"]) == (None, None)
    assert {rung["kept"] for rung in unknown["trials"]} == {None}
    assert (never["sustains"], never["fails"]) == (0.0, 1.0)


def test_json_of_a_crossover():
    """`wins` is the system's own view of each rung, and `from` the rate at which it begins."""
    found = Found("queued", SLO, (BOTH,), crossover((4.0, False), (5.0, True), (4.5, None)))
    told = strict(found)["crossover"]
    assert (told["against"], told["workers"], told["not_below"], told["from"]) == ("gunicorn", 2, 4.0, 5.0)
    assert told["cost_s"] == pytest.approx(0.05)
    assert [rung["wins"] for rung in told["trials"]] == [False, True, None]


@pytest.mark.parametrize(
    "found",
    [
        crossover((4.0, False), (5.0, True), ours=math.inf),
        crossover((4.0, False), (5.0, True), ours=math.inf, theirs=math.inf),
        crossover((4.0, True)),
        crossover((4.0, None)),
    ],
    ids=["ours not reached", "neither", "nothing below", "not believable"],
)
def test_a_cost_that_is_no_number_is_null(found):
    """Whatever came of the medians."""
    assert strict(Found("queued", SLO, (BOTH,), found))["crossover"]["cost_s"] is None
