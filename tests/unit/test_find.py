"""`bench find`: what it plans, what it refuses, and how it searches; played, so nothing is started."""

import io
import json
import math
import re
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from played_figures import GROWING, LATE, played
from rich.console import Console
from synthetic import SYSTEMS, work_of

from bench import cli, exits, find
from bench.analysis.across.search import DECIDED, MOST_RUNGS
from bench.analysis.trial.latency import arrivals_needed
from bench.expand import expand
from bench.find import LEAST_ARRIVALS, LEAST_WINDOW, Wish, counts, made
from bench.interrupt import Interrupted
from bench.load.arrivals import phase_of, schedule
from bench.plan import Box
from bench.records import RunFolder
from bench.request import systems
from bench.spec import SpecError
from bench.sweep import Result

SLO = "p95<2s"
OWN = """
task = "sleep"
input = { seconds = 0.1 }
deadline = "2s"
seed = 9
repeats = 5
box = { cpus = 1 }
generator = { processes = 2 }
[systems.low]
kind = "queued"
worker_nice = 5
[[parts]]
name = "x"
shows = "burst"
systems = ["low"]
arrivals = "burst"
sizes = [9]
"""


def wish(folder="run", **changes):
    """`bench find queued --slo p95<2s`, with spin of 100 ms."""
    given = {"system": "queued", "slo": SLO, "input": {"seconds": 0.1, "gil": "held"}}
    return Wish(folder=RunFolder(folder), **(given | changes))


# --- the plan ---


def test_the_plan_is_of_the_systems_workers_and_times_that_were_asked_for():
    """One part at C, whose trials are the patterns of the rungs."""
    found = made(wish(against="gunicorn", workers=(4, 1), window="20s", warmup="3s", deadline="1s", seed=5))
    (part,) = found.parts
    assert (part.systems, part.workers) == (["queued", "gunicorn"], [4, 1])
    assert (str(part.window), str(part.warmup), [str(r) for r in part.rates]) == ("20s", "3s", ["1C"])
    assert (found.reference_workers, found.seed, found.repeats) == (4, 5, 1)
    assert (str(found.deadline), found.gateway_timeout) == ("1s", None)
    assert (found.task, found.input) == ("spin", {"seconds": 0.1, "gil": "held"})
    assert "queued" in found.title
    assert SLO in found.title


def test_an_experiment_file_lends_its_systems_task_limits_and_box(tmp_path):
    """Not its parts, and not its repeats: the search makes its own."""
    (tmp_path / "my.toml").write_text(OWN)
    own = str(tmp_path / "my.toml")
    found = made(wish(system="low", against="queued", input=None, experiment=own))
    assert (found.task, found.input, str(found.deadline), found.box.cpus) == (
        "sleep",
        {"seconds": 0.1},
        "2s",
        1,
    )
    assert (found.systems["low"].worker_nice, found.generator.processes, found.repeats) == (5, 2, 1)
    assert [(p.name, p.shows, p.systems) for p in found.parts] == [("find", "load", ["low", "queued"])]
    said = made(wish(system="low", experiment=own, task="spin", input=None, deadline="3s"))
    assert (said.task, said.input, str(said.deadline)) == ("spin", None, "3s")


def test_everything_that_is_wrong_is_told_at_once():
    """Unknown systems, and every option that can't be read, a line each."""
    with pytest.raises(SpecError) as caught:
        made(wish(system="nope", against="neither", window="soon", warmup="never", deadline="0s"))
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    for words in ("'nope'", "'neither'", "--window soon", "--warmup never", "--deadline 0s: must be above 0"):
        assert sum(words in line for line in lines) == 1
    assert "gunicorn" in lines[0], "it says which systems there are"


def test_a_system_is_no_rival_of_itself():
    """That would be a search for nothing."""
    with pytest.raises(SpecError, match="--against queued: that is the system itself"):
        made(wish(against="queued"))


def test_worker_counts_are_read_in_order_and_once_each():
    """As people write them."""
    assert counts("2") == (2,)
    assert counts("4, 1,2 ,4") == (4, 1, 2)


@pytest.mark.parametrize("text", ["", "0", "two", "1,", "-1", "1.5", "257", "1 2"])
def test_what_is_no_list_of_worker_counts_is_refused(text):
    """With an example of one."""
    with pytest.raises(SpecError, match='as in "2" or "1,2,4"'):
        counts(text)


# --- bad usage ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope", "--slo", SLO], "no system 'nope'; there are as-published"),
        (["queued", "--slo", "p96<2s"], "--slo: p96<2s: there is no metric p96"),
        (["queued", "--slo", "fast"], "--slo: 'fast' is not an objective"),
        (["queued", "--slo", SLO, "--workers", "0"], "--workers 0: write worker counts"),
        (["queued", "--slo", SLO, "--workers", "500"], "counts up to 256"),
        (["queued", "--slo", SLO, "--against", "queued"], "that is the system itself"),
        (["queued", "--slo", SLO, "--window", "soon"], "--window soon: not a duration"),
        (["queued", "--slo", SLO, "--window", "0s"], "--window 0s: must be above 0"),
        (["queued", "--slo", SLO, "--warmup", "x"], "--warmup x: not a duration"),
        (["queued", "--slo", SLO, "--deadline", "0s"], "--deadline 0s: must be above 0"),
        (["queued", "--slo", SLO, "--precision", "fine"], "--precision: 'fine' is not a share"),
        (["queued", "--slo", SLO, "--precision", "60%"], "--precision 60%: must be from 1% to 50%"),
        (["queued", "--slo", SLO, "--precision", "0.5%"], "must be from 1% to 50%"),
        (["queued", "--slo", SLO, "--task", "none_such:f"], "none_such"),
        (["queued", "--slo", SLO, "--task", "json:dumps"], "--input FILE"),
        (["queued", "--slo", SLO, "--input", "missing.json"], "--input missing.json: not a JSON file"),
        (["queued", "--slo", SLO, "--experiment", "missing.toml"], "missing.toml: neither a built-in"),
    ],
)
def test_bad_usage_is_one_line_and_nothing_is_started(tmp_path, monkeypatch, capsys, arguments, words):
    """Exit code 2, what is wrong, no run folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench", "find", *arguments])
    monkeypatch.setattr(find, "opened", None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    assert (ended.value.code, told.out, told.err.count("\n")) == (exits.USAGE, "", 1), told.err
    assert words in told.err
    assert list(tmp_path.iterdir()) == []


# --- the search, against a played execution ---


class PlayedExecution:
    """Systems that keep up to a rate of their own, in the place of `bench.execution.Execution`."""

    def __init__(self, asked, able, moods=()):
        """`able`: by system and workers, or by system, the rate up to which every job is in time.

        `moods`: what befalls the trials in their order: "failed", an exception, a reason, or None.
        """
        experiment = made(asked)
        works = {"find": work_of(experiment.task, experiment.input)}
        self.folder, self.able, self.moods = asked.folder, able, list(moods)
        self.patterns = expand(experiment, works, {**SYSTEMS, **systems(experiment, None)}, Box(2.0, 2**31))
        self.capacity = self.patterns[0].load.rate
        self.trials, self.rows, self.shown, self.results = [], [], [], {}
        self.finished = False

    def run_one(self, trial, number, total, eta):
        """All jobs in 200 ms up to the rate; above it, only as many as the rate allows."""
        mood = self.moods.pop(0) if self.moods else None
        if isinstance(mood, BaseException):
            raise mood
        self.trials.append(trial)
        self.shown.append((number, total, eta))
        status = "failed" if mood == "failed" else "done"
        self.results[trial.id] = Result(status)
        arrivals = sum(phase_of(trial.load, t) == "window" for t in schedule(trial.load, trial.seed))
        name, workers, rate = trial.system.name, trial.system.workers, trial.load.rate
        able = self.able.get((name, workers), self.able.get(name, 0.0))
        in_time = arrivals if rate <= able else math.floor(arrivals * able / rate * 0.9)
        reasons = [mood] if mood not in (None, "failed") else []
        self.rows.append(played(trial, *reasons, arrivals=arrivals, in_time=in_time, status=status))
        RunFolder(self.folder.path).write_run({"trials": [t.to_json() for t in self.trials]})
        return self.results[trial.id]

    def add(self, trial):
        """In the place of `bench.report.reading.Growing` too: what it says of that trial."""
        return next(f for f in self.rows if f.trial.id == trial)

    def finish(self):
        """The run is whole."""
        self.finished = True


def search(asked, able, moods=(), patch=None):
    """Run `find` over it: exit code, what was printed, the execution."""
    execution, out = PlayedExecution(asked, able, moods), io.StringIO()
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {
            "Execution": lambda *_, **__: execution,
            "choose": lambda *_, **__: SimpleNamespace(name="local"),
            "opened": lambda *_: nullcontext(SimpleNamespace(caps=lambda _: None)),
            "resolve_box": lambda *_: Box(2.0, 2**31),
            "Growing": lambda _: execution,
            "report": SimpleNamespace(build=lambda path: path / "index.html"),
        }.items():
            patched.setattr(find, name, value)
        code = find.find(asked, Console(file=out, width=200))
    return code, out.getvalue(), execution


def found(asked):
    """found.json."""
    return json.loads((asked.folder.path / "found.json").read_text())


@settings(deadline=None, max_examples=25)
@given(truth=st.floats(1.1, 75.0))
def test_the_knee_encloses_the_truth(tmp_path_factory, truth):
    """Two workers of 100-ms jobs could do 20 a second: from 1 to 80 are searched."""
    asked = wish(tmp_path_factory.mktemp("truth"))
    code, text, execution = search(asked, {"queued": truth})
    (knee,) = found(asked)["knees"]
    assert code == exits.FINE
    assert knee["capacity"] == pytest.approx(20.0)
    assert knee["sustains"] <= truth < knee["fails"] <= knee["sustains"] * 1.1 + 1e-9
    assert len(knee["trials"]) == len(execution.trials) < MOST_RUNGS
    assert "queued with 2 workers keeps p95<2s up to between" in text
    assert execution.finished


def test_each_worker_count_is_searched_in_the_order_asked_for(tmp_path):
    """Each by its own capacity."""
    asked = wish(tmp_path, workers=(2, 1))
    code, _, _ = search(asked, {("queued", 1): 7.0, ("queued", 2): 15.0})
    two, one = found(asked)["knees"]
    assert (code, two["workers"], one["workers"]) == (exits.FINE, 2, 1)
    assert two["sustains"] <= 15.0 < two["fails"]
    assert one["sustains"] <= 7.0 < one["fails"]


def test_threads_are_searched_once_whatever_the_worker_counts(tmp_path):
    """They do not come in workers, and nothing says that they do."""
    asked = wish(tmp_path, system="blocking", workers=(2, 1))
    _, text, execution = search(asked, {"blocking": 6.0})
    (knee,) = found(asked)["knees"]
    assert knee["workers"] is None
    assert len(execution.trials) == len(knee["trials"])
    assert "blocking keeps p95<2s up to" in text


def test_a_trial_that_must_not_be_believed_is_tried_again(tmp_path):
    """At the same rate with other arrivals; it counts for neither side."""
    asked = wish(tmp_path)
    code, _, execution = search(asked, {"queued": 15.0}, moods=[LATE, None, None, LATE])
    first, second = execution.trials[:2]
    assert first.load == second.load
    assert (first.repeat, second.repeat) == (1, 2)
    assert first.seed != second.seed
    (knee,) = found(asked)["knees"]
    assert [rung["kept"] for rung in knee["trials"]].count(None) == 2
    assert code == exits.FINE
    assert knee["sustains"] <= 15.0 < knee["fails"]


def test_a_failed_trial_is_no_answer_but_fails_the_search(tmp_path):
    """Its rate is tried again and the knee is found; exit code 1 says that something broke."""
    asked = wish(tmp_path)
    code, _, execution = search(asked, {"queued": 15.0}, moods=["failed"])
    assert execution.trials[0].load == execution.trials[1].load
    (knee,) = found(asked)["knees"]
    assert knee["trials"][0]["kept"] is None
    assert knee["sustains"] <= 15.0 < knee["fails"]
    assert code == exits.FAILED


def test_a_growing_backlog_is_not_sustained(tmp_path):
    """However short the times were in its window: the next rate is lower."""
    _, _, execution = search(wish(tmp_path), {"queued": 15.0}, moods=[GROWING])
    assert execution.trials[1].load.rate < execution.trials[0].load.rate


@pytest.mark.parametrize(
    ("able", "moods", "code", "words"),
    [
        (15.0, [], exits.FINE, "up to between"),
        (1e9, [], exits.FINE, "even at 80 jobs/s, the highest rate measured"),
        (0.0, [], exits.FAILED, "does not keep p95<2s even at 1 job/s"),
        (15.0, [LATE] * 99, exits.INVALID, "no trial could be believed"),
        (15.0, ["failed"] * 99, exits.FAILED, "no trial could be believed"),
    ],
    ids=["an edge", "always", "never", "nothing believable", "all failed"],
)
def test_exit_codes_and_words(tmp_path, able, moods, code, words):
    """0 where something is sustained, 1 where nothing is or a trial failed, 3 where nobody knows."""
    asked = wish(tmp_path)
    ended, text, execution = search(asked, {"queued": able}, moods)
    assert ended == code
    assert words in " ".join(text.split())
    assert str(tmp_path / "index.html") in text
    assert len(execution.trials) == DECIDED if moods else len(execution.trials) > DECIDED


def test_the_gravest_of_several_searches_decides(tmp_path):
    """One worker can't be judged, two sustain nothing: 1 goes before 3. A rival nobody could judge: 3."""
    asked = wish(tmp_path / "a", workers=(1, 2))
    assert search(asked, {"queued": 0.0}, [LATE] * DECIDED)[0] == exits.FAILED
    one, two = found(asked)["knees"]
    assert (one["sustains"], two["sustains"]) == (None, 0.0)
    knee = len(search(wish(tmp_path / "b"), {"queued": 15.0})[2].trials)
    asked = wish(tmp_path / "c", against="gunicorn")
    code, _, _ = search(asked, {"queued": 15.0, "gunicorn": 5.0}, [None] * knee + [LATE] * 99)
    assert (code, found(asked)["crossover"]["not_below"]) == (exits.INVALID, None)


def test_the_crossover_encloses_the_rate_from_which_the_rival_falls_behind(tmp_path):
    """The rival keeps up to 8 jobs/s, the system to 18: from just above 8 on, more users are served by it."""
    asked = wish(tmp_path, against="gunicorn")
    code, text, execution = search(asked, {"queued": 18.0, "gunicorn": 8.0})
    data = found(asked)
    assert code == exits.FINE
    assert data["crossover"]["not_below"] <= 8.0 < data["crossover"]["from"] <= 8.0 * 1.1
    assert data["crossover"]["cost_s"] == pytest.approx(0.0)
    assert "queued gives more users a result in time than gunicorn from between" in text
    pairs = execution.trials[len(data["knees"][0]["trials"]) :]
    for ours, theirs in zip(pairs[::2], pairs[1::2], strict=True):
        assert (ours.system.name, theirs.system.name) == ("queued", "gunicorn")
        assert (ours.load, ours.seed) == (theirs.load, theirs.seed), "both meet the same arrivals"


def test_a_rival_is_not_run_beside_a_trial_that_can_not_be_believed(tmp_path):
    """It would be compared with nothing."""
    knee = len(search(wish(tmp_path / "a"), {"queued": 18.0})[2].trials)
    asked = wish(tmp_path / "b", against="gunicorn")
    _, _, execution = search(asked, {"queued": 18.0, "gunicorn": 8.0}, [None] * knee + [LATE])
    assert [t.system.name for t in execution.trials[knee : knee + 3]] == ["queued", "queued", "gunicorn"]


def test_ctrl_c_keeps_what_is_done(tmp_path):
    """Exit code 130 and a page; before the first trial there is nothing to show."""
    code, text, execution = search(wish(tmp_path / "a"), {"queued": 15.0}, [None, Interrupted()])
    assert (code, len(execution.trials), execution.finished) == (exits.INTERRUPTED, 1, False)
    assert str(tmp_path / "a" / "index.html") in text
    code, text, _ = search(wish(tmp_path / "b"), {"queued": 15.0}, [Interrupted()])
    assert (code, "index.html" in text) == (exits.INTERRUPTED, False)
    assert not (tmp_path / "b" / "found.json").exists()


# --- each rung ---


@pytest.mark.parametrize(
    ("slo", "needed"),
    [
        ("timeouts<1%", LEAST_ARRIVALS),
        ("mean<2s", LEAST_ARRIVALS),
        ("p95<2s", arrivals_needed(0.95)),
        ("p99<5s, p50<2s", arrivals_needed(0.99)),
        ("p99.9<5s", arrivals_needed(0.999)),
    ],
)
@pytest.mark.parametrize("window", ["1s", "30s"])
def test_a_trial_is_long_enough_for_every_percentile_and_as_long_as_asked_for(tmp_path, slo, needed, window):
    """At every rate, from the lowest to the highest; and no shorter than pays for bringing a system up."""
    rates = set()
    for able in (0.0, 1e9):
        _, _, execution = search(wish(tmp_path / str(able), slo=slo, window=window), {"queued": able})
        for trial in execution.trials:
            due = [phase_of(trial.load, t) for t in schedule(trial.load, trial.seed)]
            assert due.count("window") >= needed
            assert trial.load.window >= max(LEAST_WINDOW, float(window[:-1]))
            rates.add(trial.load.rate)
    assert min(rates) == pytest.approx(1.0)
    assert max(rates) == pytest.approx(80.0)


def test_a_fast_trial_may_be_allowed_to_be_short(tmp_path):
    """For jobs of milliseconds: only arrivals and the window asked for count."""
    _, _, execution = search(wish(tmp_path, window="1s", least_window=1.0), {"queued": 1e9})
    assert min(t.load.window for t in execution.trials) == 1.0


def test_every_rung_has_a_name_of_its_own_that_a_folder_can_have(tmp_path):
    """With system, workers, rate and attempt, in the order in which they ran."""
    asked = wish(tmp_path, against="gunicorn", workers=(2, 1))
    _, _, execution = search(asked, {"queued": 15.0, "gunicorn": 8.0}, [LATE])
    names = [t.id for t in execution.trials]
    assert len(set(names)) == len(names)
    assert names == sorted(names)
    assert all(re.fullmatch(r"\d{3}-(queued|gunicorn)-w[12]-[\d.e+]+ps-r\d+", name) for name in names)


def test_drain_and_relative_rate_are_those_of_the_rung(tmp_path):
    """Not those of the pattern, which is at C: an overload needs longer to drain."""
    _, _, execution = search(wish(tmp_path), {"queued": 1e9})
    for trial in execution.trials:
        assert trial.load.relative == pytest.approx(trial.load.rate / 20.0)
    by_rate = sorted(execution.trials, key=lambda t: t.load.rate)
    assert by_rate[-1].drain_limit > by_rate[0].drain_limit + 10


def test_the_same_seed_asks_the_same_again(tmp_path):
    """Another seed draws other arrivals."""
    runs = [
        search(wish(tmp_path / str(n), seed=seed), {"queued": 15.0})[2].trials
        for n, seed in enumerate((1, 1, 2))
    ]
    assert runs[0] == runs[1]
    assert {t.seed for t in runs[0]}.isdisjoint(t.seed for t in runs[2])


def test_progress_never_promises_the_past(tmp_path):
    """Numbers go up to a total that is never passed, and no ETA is below 0."""
    _, _, execution = search(wish(tmp_path), {"queued": 1.01}, [LATE, None] * 9)
    numbers = [number for number, _, _ in execution.shown]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(number <= total and eta >= 0 for number, total, eta in execution.shown)


@pytest.mark.parametrize("name", ["[red]", "a[b]"])
def test_a_folder_with_brackets_is_printed_as_it_is(tmp_path, name):
    """They are no markup."""
    _, text, _ = search(wish(tmp_path / name), {"queued": 15.0})
    assert text.count(name) == 2
