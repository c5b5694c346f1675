"""What the ladder and the soak tell of themselves, from made-up findings."""

from types import SimpleNamespace
from typing import Any

from test_chaos_audit import CALM, job

from bench.chaos import ladder, soak
from bench.chaos.audit import Findings, audit
from bench.chaos.plan import Kind

KINDS = (Kind.KILL_WORKER, Kind.KILL_STORE)


def found(lost: int) -> Findings:
    """Ten accepted jobs, so many of them lost."""
    rows = [job(n) if n >= lost else job(n, done=None, state="queued", right=None) for n in range(10)]
    return audit(rows, [], [], CALM)


def rung(name: str) -> Any:
    return SimpleNamespace(name=name)


def test_the_ladder_says_which_measure_saves_what() -> None:
    """One line a measure, one column a strike; what lost anything is marked; the last must lose nothing."""
    told = ladder.tell([rung("nothing"), rung("all")], KINDS, [[found(3), found(10)], [found(0), found(0)]])
    table = told["tables"][0]
    assert table["head"] == ["measure", "kill-worker", "kill-store"]
    assert table["rows"] == [["nothing", "3 of 10", "10 of 10"], ["all", "0 of 10", "0 of 10"]]
    assert table["alarm"] == [0]
    assert told["unmet"] == []
    assert told["lead"].startswith("Of 20 accepted jobs the queue with nothing but auto-ack lost 13")


def test_a_last_rung_that_loses_is_a_failure() -> None:
    """Whatever the others do."""
    told = ladder.tell([rung("nothing"), rung("all")], KINDS, [[found(0), found(0)], [found(0), found(1)]])
    assert told["unmet"] == ["all: 1 job lost, wrong or failed"]


def test_the_rungs_begin_with_nothing_and_end_with_everything() -> None:
    """Each bare one but the last keeps Redis in memory; the store is struck last."""
    wish = ladder.Wish()
    rungs = ladder.rungs(wish)
    assert rungs[0].name == "auto-ack, and nothing else"
    assert rungs[-1].name == "queued: everything"
    assert [r.store_config for r in rungs] == [ladder.NO_FILE] * 5 + [ladder.FILE] * 2
    assert wish.kinds[-1] is Kind.KILL_STORE
    assert len(ladder.rungs(ladder.Wish(short=True))) == 3


def told_of(values: list[float], **changes: Any) -> dict[str, Any]:
    """A soak whose web had these bytes of memory, one sample a second."""
    users: Any = SimpleNamespace(rows=[job(1, **changes), job(2)])
    samples = [(float(n), {("memory", "web 1"): value}) for n, value in enumerate(values)]
    return soak.tell(soak.Wish(minutes=1), users, samples)


def test_a_soak_that_is_flat() -> None:
    """Nothing to complain of."""
    told = told_of([50e6] * 60)
    assert told["unmet"] == []
    assert "Everything is flat" in told["lead"]
    assert told["tables"][0]["rows"][0][-1] == "flat"


def test_a_soak_that_leaks_or_loses() -> None:
    """Each has its line, and the exit code follows from them."""
    told = told_of([50e6 + 1e6 * n for n in range(60)])
    assert told["unmet"] == ["memory of web 1 grows"]
    assert told["tables"][0]["alarm"] == [0]
    assert told_of([50e6] * 60, done=None, state="queued")["unmet"] == ["1 job lost"]
    assert told_of([50e6] * 60, right=False)["unmet"] == ["1 job wrong"]
