"""Carries a plan out on a ground: kills, stops, cuts, seams at their time, and notes what happened."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from bench.chaos.ground import Ground
from bench.chaos.ledger import StrikeRow
from bench.chaos.plan import ROLES, Kind, Plan, Strike

TICK = 0.02
"""Seconds between looks."""
RESTARTED_WITHIN = 3.0
"""Seconds within which a process that comes up again is the one that was struck."""
GATE = 45.0
"""Seconds that the storm waits at most for RabbitMQ to be back: a strike while it boots meets nobody."""


@dataclass
class _Open:
    """A strike that is not over."""

    number: int
    strike: Strike
    began: float | None = None
    ended: float | None = None
    detail: list[str] = field(default_factory=list)
    undo: list[Callable[[], None]] = field(default_factory=list)
    until: float = 0.0
    """Unix time at which what lasts is undone."""


class Striker:
    """A thread. `start` begins the plan at `began` (Unix time); `stop` undoes what lasts."""

    def __init__(self, ground: Ground, plan: Plan, began: float, patience: float) -> None:
        """`patience`: seconds after the storm in which those who found nothing to strike may still do so."""
        self._ground = ground
        self._plan = plan
        self._began = began
        self._patience = patience
        self._late = 0.0
        self._back: Callable[[], float] | None = None
        self._gate: float | None = None
        """When RabbitMQ was killed; None: it has come back since."""
        self._rows = [_Open(n, strike) for n, strike in enumerate(plan.strikes)]
        self._stop = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="striker", daemon=True)

    def start(self, last_accepted: Callable[[], float]) -> None:
        """Begin. `last_accepted`: Unix time at which a job was last accepted, which shows who is back."""
        self._back = last_accepted
        self._thread.start()

    def clock(self) -> float:
        """Seconds of the storm that have passed, without those in which it waited for RabbitMQ."""
        now = time.time()
        gate = self._gate
        waiting = now - gate if gate is not None else 0.0
        return now - self._began - self._late - waiting

    @property
    def over(self) -> bool:
        """Whether every strike was carried out and undone, or given up."""
        return self._over.is_set()

    @property
    def carried_out(self) -> int:
        """How many strikes have begun."""
        return sum(row.began is not None for row in self._rows)

    def stop(self) -> None:
        """Undo what lasts and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def rows(self) -> list[StrikeRow]:
        """What was done; a kill ended when its process was started again."""
        restarts = [e for e in self._ground.events() if e["event"] == "restarted"]
        return [self._row(row, restarts) for row in self._rows]

    def _row(self, row: _Open, restarts: list[dict[str, object]]) -> StrikeRow:
        strike = row.strike
        ended = row.ended
        if row.began is not None and ended is None:
            roles = {ROLES[part] for part in strike.parts} or {"web", "worker"}
            back = [float(str(e["t"])) for e in restarts if e["role"] in roles]
            soon = [t for t in back if row.began < t < row.began + RESTARTED_WITHIN]
            ended = min(soon, default=row.began)
        who = " + ".join(
            f"{ROLES[part]} {strike.worker + 1}" if part.endswith("-worker") and part != Kind.CUT_WORKER
            else ROLES[part]
            for part in strike.parts
        )  # fmt: skip
        return StrikeRow(
            number=row.number,
            kind=strike.kind,
            name=strike.name,
            role=who,
            seam=strike.seam,
            planned=round(strike.at, 3),
            began=row.began,
            ended=ended,
            detail="; ".join(row.detail),
        )

    def _run(self) -> None:
        limit = self._plan.span + self._patience
        try:
            while not self._stop.wait(TICK):
                self._look_at_gate()
                for row in self._rows:
                    self._advance(row)
                if all(row.began is not None and not row.undo for row in self._rows) or self.clock() > limit:
                    break
        finally:
            for row in self._rows:
                self._undo(row)
                if row.strike.seam and row.began is None:
                    (self._ground.seams / row.strike.seam).unlink(missing_ok=True)
            self._over.set()

    def _look_at_gate(self) -> None:
        """Let the storm go on once RabbitMQ, killed a while ago, serves again."""
        if self._gate is None or self._back is None:
            return
        now = time.time()
        if self._back() > self._gate or now - self._gate > GATE:
            self._late += now - self._gate
            self._gate = None

    def _advance(self, row: _Open) -> None:
        strike = row.strike
        now = time.time()
        laid = strike.seam and row.detail
        if row.began is None and (laid or (self._gate is None and self.clock() >= strike.at)):
            if strike.seam:
                self._lay(row, now)
            elif all(self._ready(strike, part) for part in strike.parts):
                self._begin(row)
        elif row.undo and now >= row.until:
            self._undo(row)

    def _lay(self, row: _Open, now: float) -> None:
        """Put the file of a seam there, one at a time for each name; gone means that somebody died of it."""
        file = self._ground.seams / row.strike.seam
        if "laid" in row.detail:
            if not file.exists():
                row.began = now
        elif not any("laid" in r.detail and r.began is None and r.strike.seam == row.strike.seam
                     for r in self._rows):  # fmt: skip
            file.touch()
            row.detail.append("laid")

    def _ready(self, strike: Strike, part: Kind) -> bool:
        role = ROLES[part]
        if part in (Kind.CUT_WORKER, Kind.CUT_WEB):
            frozen = any(part in r.strike.parts and r.undo for r in self._rows)
            return not frozen and self._ground.proxies[role].connections > 0
        return self._ground.up(role, strike.worker if role == "worker" else 0)

    def _begin(self, row: _Open) -> None:
        strike = row.strike
        row.began = time.time()
        row.until = row.began + strike.lasts
        for part in strike.parts:
            role = ROLES[part]
            if part in (Kind.CUT_WORKER, Kind.CUT_WEB):
                proxy = self._ground.proxies[role]
                row.detail.append(f"{proxy.connections} connections of {role} frozen {strike.lasts:g} s")
                proxy.freeze()
                row.undo.append(proxy.reset)
            elif part is Kind.STOP_WORKER:
                pids = self._ground.freeze(role, strike.worker)
                row.detail.append(f"pids {', '.join(map(str, pids))} stopped {strike.lasts:g} s")
                row.undo.append(partial(self._ground.thaw, pids))
            else:
                pid = self._ground.kill(role, strike.worker if role == "worker" else 0)
                row.detail.append(f"pid {pid} killed")
        if Kind.KILL_BROKER in strike.parts:
            self._gate = row.began

    def _undo(self, row: _Open) -> None:
        if row.undo:
            for undo in row.undo:
                undo()
            row.undo = []
            row.ended = time.time()
