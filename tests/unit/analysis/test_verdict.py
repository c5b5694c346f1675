"""The verdict says what was measured, in words that hold: windows named, nothing made up, nothing hidden."""

import re
from dataclasses import replace

import pytest
from by_hand import WINDOW, described, event, job, run_of, sample, tables, trial
from synthetic import plan, simulate, work_of

from bench.analysis import analyse
from bench.analysis.across.findings.parts import growth_shape
from bench.analysis.words import about, count, figure, listing, percent, seconds, size
from bench.spec import parse

NAN = float("nan")
BELOW = {"rate": 1.0, "relative": 0.5, "label": "0.5C"}
ABOVE = {"rate": 4.0, "relative": 2.0, "label": "2C"}


def of(name, kind, load, jobs, runs=(), **changes):
    """A trial with its rows."""
    t = trial(id=f"{name}-{load['label']}", system={"name": name, "kind": kind}, load=load, **changes)
    return t, {"jobs": jobs, "executions": list(runs), "events": WINDOW}


def said(*trials_with_rows, **changes):
    plan_ = [t for t, _ in trials_with_rows]
    return analyse(described(*plan_, **changes), tables({t.id: rows for t, rows in trials_with_rows}))


def finding(analysis, key):
    return next((f for f in analysis.verdict.findings if f.key == key), None)


def steady(prefix, n, spent, **more):
    return [job(f"{prefix}{k}", 100 + 10 * k / n, 100 + 10 * k / n + spent, **more) for k in range(n)]


def test_who_differs_in_waiting_only_is_said_to_wait():
    """All in time with both, but the queue takes two seconds more: the sentence is about the waiting."""
    found = said(
        of("gunicorn", "gunicorn", BELOW, steady("g", 10, 0.5), deadline=9.0),
        of("queued", "queued", BELOW, steady("q", 10, 2.5), deadline=9.0),
    )
    assert found.verdict.lead.endswith(
        "they differ: the median user waits 2.5 s with queued and 500 ms with gunicorn."
    )


def test_below_capacity_it_names_the_load_and_what_the_queue_costs():
    """Ten jobs each, the queue 300 ms slower: alike, and the price is said."""
    found = said(
        of("gunicorn", "gunicorn", BELOW, steady("g", 10, 1.0)),
        of("queued", "queued", BELOW, steady("q", 10, 1.3)),
    )
    assert found.verdict.lead == (
        "Up to 1 job/s (0.5 × capacity) you need no queue: gunicorn gives as many users a result in time, "
        "and the queue costs you 300 ms a job."
    )


def test_where_the_queue_loses_it_says_so():
    """Already at the lowest load."""
    found = said(
        of("gunicorn", "gunicorn", BELOW, steady("g", 10, 1.0)),
        of("queued", "queued", BELOW, steady("q", 10, 5.0)),
    )
    assert "they differ: queued gives 0 % of its users a result in time, gunicorn 100 %" in found.verdict.lead


def test_above_capacity_it_speaks_of_shares_and_of_its_window():
    """In time, late, never, and how long the drain took; no steady percentile."""
    late = [job(f"q{k}", 100 + k / 4, 112 + k / 2) for k in range(40)]
    failed = steady("g", 30, 3.0, outcome="gateway_timeout", accepted=NAN) + steady("h", 10, 1.0)
    found = finding(
        said(of("gunicorn", "gunicorn", ABOVE, failed), of("queued", "queued", ABOVE, late)), "overload"
    )
    assert "At 4 jobs/s (2 × capacity) for 10 s (10 × S)" in found.text
    assert "gunicorn: 10 in time and 30 never; queued: 40 late." in found.text
    assert "queued had delivered every job it accepted 22 s after the window" in found.text
    assert "not a steady state" in found.text
    assert found.lead == (
        "At 4 jobs/s (2 × capacity) for 10 s (10 × S), so many users got a result at all, and in time: "
        "the queue 100 % and 0 %; gunicorn 25 % and 25 %."
    )


def test_the_bounded_rival_is_given_its_share_of_the_queues_gain():
    """In time: 10 % without a limit, 30 % with it, 50 % with the queue: half of the gain."""

    def part(prefix, good):
        return steady(prefix, good, 1.0) + steady(
            f"{prefix}x", 40 - good, 3.0, outcome="gateway_timeout", accepted=NAN
        )

    found = finding(
        said(
            of("gunicorn", "gunicorn", ABOVE, part("g", 4)),
            of("bounded", "bounded", ABOVE, part("b", 12)),
            of("queued", "queued", ABOVE, part("q", 20)),
        ),
        "bounded",
    )
    assert "30 % of the users a result in time" in found.text
    assert "50 % of what the queue gains in time" in found.text


def test_what_a_push_would_save_is_the_mean_discovery():
    """Polled every 0.5 s, the result is with the client 250 ms after its run's end."""
    jobs = steady("q", 10, 1.3, polls=3)
    runs = [run_of(j["job"], j["done"] - 1.25, j["done"] - 0.25) for j in jobs]
    found = said(
        of("gunicorn", "gunicorn", BELOW, steady("g", 10, 1.0)), of("queued", "queued", BELOW, jobs, runs)
    )
    assert (
        "On average 250 ms pass until the client has a finished result, since it asks every 500 ms"
        in finding(found, "alike").text
    )


def test_where_the_time_goes_is_told_for_the_queue_and_its_rival():
    """Below capacity half of the queue's 2 s is service, above it 75 % of 4 s are wait."""
    below = [run_of(f"q{k}", 100 + k + 0.2, 100 + k + 1.2) for k in range(10)]
    above = [run_of(f"q{k}", 100 + k / 4 + 3.01, 100 + k / 4 + 3.91) for k in range(40)]
    served = [run_of(f"g{k}", 100 + k + 0.001, 100 + k + 1) for k in range(5)]
    rival = steady("g", 10, 1.0)
    for n, row in enumerate(rival):
        row.update({"accepted": row["done"]} if n < 5 else {"outcome": "gateway_timeout", "accepted": NAN})
    found = said(
        of("gunicorn", "gunicorn", BELOW, rival, served),
        of("queued", "queued", BELOW, steady("q", 10, 2.0), below),
        of("queued", "queued", ABOVE, steady("q", 40, 4.0), above),
    )
    assert finding(found, "stages").text == (
        "Mean time to result of the delivered jobs, taken apart. "
        "queued at 1 job/s (0.5 × capacity) 2 s: 50 % service and 40 % discovery; "
        "at 4 jobs/s (2 × capacity) 4 s: 75 % wait and 22 % service. "
        "gunicorn at 1 job/s (0.5 × capacity) 1 s: over 99 % service (of the 50 % of which it is known)."
    )


def test_what_a_job_costs_besides_its_task_is_told_by_component():
    """200 ms of web and 100 ms of broker over ten jobs; gunicorn delivered one less than it ran."""

    def sampled(**burnt):
        rows = [(role, t, seconds) for role, s in burnt.items() for t, seconds in ((99, 0.0), (130, s))]
        return [sample(t, role, "cpu", seconds) for role, t, seconds in rows]

    queue = of(
        "queued",
        "queued",
        BELOW,
        steady("q", 10, 1.2),
        [run_of(f"q{k}", 101 + k, 102 + k) for k in range(10)],
    )
    lost = [*steady("g", 9, 1.2), job("x", 101, 104, "gateway_timeout", accepted=NAN)]
    served = [run_of(f"g{k}", 101 + k, 102 + k) for k in range(9)] + [run_of("x", 102, 103)]
    rival = of("gunicorn", "gunicorn", BELOW, lost, served)
    marks = [event(99, "load_started"), event(130, "drained")]
    for _, rows in (queue, rival):
        rows["events"] = [*WINDOW, *marks]
    queue[1]["resources"] = sampled(web=0.2, worker=10.0, broker=0.1)
    rival[1]["resources"] = sampled(web=10.1)
    assert finding(said(rival, queue), "overhead").text == (
        "At 1 job/s (0.5 × capacity) each delivered job costs this much CPU besides its task's 1 s: "
        "gunicorn 11 ms (web 11 ms); queued 30 ms (web 20 ms, broker 10 ms). What the processes use while "
        "idle is in it. For each job executed, delivered or not: gunicorn 10 ms."
    )


@pytest.mark.parametrize(("first", "share"), [("gateway_timeout", "all"), ("error", "2")])
def test_a_burst_is_told_job_by_job(first, share):
    """How many failed, how many of them at the gateway, how many were in time, when the last one came."""
    load = {"arrivals": "burst", "size": 4, "window": 0.0, "label": "burst4"}
    fates = (first, "gateway_timeout", "gateway_timeout")
    blocked = [job(f"b{k}", 100, 103, fate, accepted=NAN) for k, fate in enumerate(fates)]
    blocked.append(job("b3", 100, 102))
    queued = [job(f"q{k}", 100, 101 + k) for k in range(4)]
    found = said(
        of("blocking", "blocking", load, blocked, shows="burst"),
        of("queued", "queued", load, queued, shows="burst"),
    )
    assert found.verdict.lead == (
        f"A burst of 4: blocking fails 3 of 4 ({share} with the gateway's 504), 1 in time; "
        "queued delivers all 4, 3 of them in time, the last after 4 s."
    )


def test_the_memory_failure_names_the_killed_and_the_spared():
    """With how many workers the queue stood it."""
    load = {"arrivals": "burst", "size": 2, "window": 0.0, "label": "burst2"}
    memory = {"task": "memory", "input": {"mb": 600, "seconds": 1}}
    blocked, rows = of(
        "blocking", "blocking", load, [job(f"b{k}", 100, 101, "error", accepted=NAN) for k in range(2)],
        shows="memory", work=memory,
    )  # fmt: skip
    rows["events"] = [*WINDOW, event(100.5, "oom_kill"), event(100.5, "died")]
    queued = of(
        "queued", "queued", load, [job("q0", 100, 101), job("q1", 100, 102)], shows="memory", work=memory
    )
    assert said((blocked, rows), queued).verdict.lead == (
        "2 jobs of 600 MB each at once in 2 GiB: blocking is killed for memory once and delivers 0 of 2; "
        "queued with 2 workers is not killed and delivers all 2."
    )


def test_a_memory_failure_that_could_not_be_shown_is_mentioned():
    """Skipped for want of a cap, with the reason."""
    t, rows = of("queued", "queued", BELOW, steady("q", 10, 1.0))
    left_out = trial(id="m", part="memory", shows="memory", needs_memory_cap=True)
    skipped = {"m": {"status": "skipped", "reason": "memory is not capped here"}, t.id: {"status": "done"}}
    found = analyse(described(t, left_out, results=skipped), tables({t.id: rows}))
    assert finding(found, "memory").text == "The memory failure was not run: memory is not capped here."


def test_the_published_queue_is_told_by_its_dead():
    """Deaths, losses, and why."""
    t, rows = of(
        "as-published", "as_published", {**BELOW, "rate": 0.4},
        [job("a", 101, 102.5), *(job(f"l{k}", 101, 130, "unfinished") for k in range(3))],
        [run_of("a", 101, 102), run_of("l0", 102, cut=104)],
    )  # fmt: skip
    rows["events"] = [*WINDOW, event(104, "died")]
    found = finding(said((t, rows)), "published")
    assert (
        "as-published in 1 trial: a process died once and stayed dead, 3 of 4 accepted jobs were lost"
        in found.text
    )
    assert "does not answer the broker's heartbeat" in found.text


@pytest.mark.parametrize(
    ("throughputs", "words"),
    [
        ((2, 4, 4), "So 2 workers are enough for that load: 4 deliver no more"),
        ((3, 3, 3), "So 1 worker is enough: 2 deliver no more (the box's 2 vCPU allow"),
        ((1, 2, 4), "So it takes 4 workers to carry that load"),
        ((1, 2, 3), "So 4 workers, the most"),
    ],
)
def test_the_workers_needed_are_the_fewest_that_deliver_as_much(throughputs, words):
    """Where another one stops helping; and how many are in time even then, if not all."""
    rows = []
    for workers, done in zip((1, 2, 4), throughputs, strict=True):
        jobs = (
            steady("d", done * 10, 0.5) + steady("u", 40 - done * 10, 25.0)
            if done < 4
            else steady("d", 40, 0.5)
        )
        t = trial(id=f"w{workers}", shows="workers", load=ABOVE, system={"workers": workers}, drain_limit=40)
        rows.append((t, {"jobs": jobs, "events": WINDOW}))
    text = finding(said(*rows), "workers").text
    assert words in text
    assert ("Even with them 75 % of that window's users" in text) == (max(throughputs) < 4)


def test_a_run_in_which_nothing_finished_says_so():
    """No verdict is made up."""
    found = said(of("queued", "queued", BELOW, steady("q", 10, 30, outcome="error", accepted=NAN)))
    assert found.verdict.lead.startswith(
        "No job finished in this run, so there is no verdict: 10 jobs arrived"
    )
    assert found.verdict.findings == ()


def test_a_run_without_any_trial_yet_says_so():
    """Interrupted at once."""
    found = analyse(described(trial(), results={}), tables({}))
    assert found.verdict.lead == "No trial of the 1 planned took place, so there is nothing to compare yet."


def test_a_service_behind_a_url_is_told_alone():
    """Nothing to compare it with."""
    found = said(
        of("external", "external", BELOW, steady("e", 10, 1.0)),
        of("external", "external", ABOVE, steady("f", 40, 9.0)),
    )
    assert "external gives 100 % of its users a result in time at 1 job/s" in found.verdict.lead
    assert any(n.tone == "loud" and "nothing was started" in n.text for n in found.notes)


def test_growth_is_called_by_its_shape():
    """Linear, faster, exponential; nothing from two points."""
    assert growth_shape([1, 2, 4], [3, 6, 12]).startswith("linearly")
    assert growth_shape([1, 2, 4], [1, 4, 16]).startswith("faster than linearly")
    assert growth_shape([1, 2, 3, 4, 5], [2.7, 7.4, 20, 55, 148]).startswith("exponentially")
    assert growth_shape([1, 2], [1, 2]) == ""


def test_numbers_read_as_people_say_them():
    """Units, no false digits, nothing called nothing that is not."""
    assert [seconds(x) for x in (0.0018, 0.009, 0.25, 3.31, 75, 150, NAN, float("inf"))] == [
        "1.8 ms", "9 ms", "250 ms", "3.3 s", "75 s", "2.5 min", "–", "not reached",
    ]  # fmt: skip
    assert [figure(x) for x in (0.05, 4.0, 5.94, 44.4, 1234)] == ["0.05", "4", "5.9", "44", "1,234"]
    assert [percent(x) for x in (0, 0.004, 0.5, 0.996, 1)] == [
        "0 %",
        "under 1 %",
        "50 %",
        "over 99 %",
        "100 %",
    ]
    assert (about(0.07), about(0.004)) == ("about 7 %", "under 1 %")
    assert (count(1, "job"), count(0, "job"), count(1200, "job")) == ("1 job", "no jobs", "1,200 jobs")
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert size(2 * 2**30) == "2 GiB"


def test_what_must_be_known_is_noted():
    """Caps not in force, drift, one repeat, few arrivals, a late generator, an interruption."""
    t, rows = of("queued", "queued", BELOW, steady("q", 10, 1.0, sent=200.0))
    later = trial(id="later")
    calibrated = [
        {
            "part": "load",
            "task": "spin",
            "before": {"wall": 0.25, "cpu": 0.25},
            "after": {"wall": 0.5, "cpu": 0.5},
        }
    ]
    run = described(
        t,
        later,
        results={t.id: {"status": "done", "caps": {"cpus": None, "memory": 1}}},
        caps={"why": "no right to"},
        calibration=calibrated,
        finished=None,
        notes=["One repeat: told", "Own note."],
    )
    texts = [n.text for n in analyse(run, tables({t.id: rows})).notes]
    for words in (
        "CPU was NOT CAPPED: no right to",
        "The run was interrupted: 1 of 2 trials took place",
        "queued-0.5C is INVALID: The load generator was late: the second latest of 10 jobs was sent",
        "took 250 ms before the run and 500 ms after it",
        "One repeat, shown without interval",
        "p95 is left out of 1 trial with 10 arrivals or fewer: it takes 60",
        "Own note.",
    ):
        assert any(words in text for text in texts), (words, texts)
    assert not any("Memory was NOT" in text or "told" in text for text in texts)


def test_the_tests_own_simulator_obeys_queueing():
    """Two workers, eight jobs of a second on two cores: the last is ready after four seconds."""
    text = """
        task = "spin"
        input = { seconds = 1.0, gil = "held" }
        deadline = "6S"
        [[parts]]
        name = "b"
        shows = "burst"
        systems = ["queued", "blocking"]
        arrivals = "burst"
        sizes = [8]
    """
    trials, _ = plan(parse(text, "test"), cpus=2.0)
    ends = {t.system.name: max(simulate(t, [0.0] * 8, 99.0).ends.values()) for t in trials}
    assert ends == {"queued": pytest.approx(4.0), "blocking": pytest.approx(8.0)}
    assert work_of("sleep", {"seconds": 0.2}).cpu_time < 0.01


def test_no_sentence_shows_a_figure_that_is_none():
    """Trials of one job, of none, failed ones: no nan and no inf in any text."""
    few, more = {**BELOW, "rate": 0.1}, {**ABOVE, "rate": 0.1}
    empty = trial(id="empty", system={"name": "gunicorn", "kind": "gunicorn"})
    found = said(
        (empty, {}),
        of("blocking", "blocking", few, [job("b", 101, 104, "error", accepted=NAN)]),
        of("queued", "queued", few, [job("q", 101, 102)]),
        of("queued", "queued", more, [job("r", 101, 102)]),
    )
    texts = [found.verdict.lead, *(f.text for f in found.verdict.findings), *(n.text for n in found.notes)]
    assert not [t for t in texts if re.search(r"\b(nan|inf|None)\b", t)]
    assert replace(found.verdict, lead="x").lead == "x"
