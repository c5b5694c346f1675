"""The Lua scripts: each is what is common to all, and one file of `lua/`."""

import hashlib
from dataclasses import dataclass
from importlib import resources

from queued.store.fields import RESULT

WRITES = frozenset({"create", "finish", "refuse", "restore", "revive"})
"""What Redis is to refuse when it is full: all that makes it fuller."""
READS = frozenset({"read", "load"})
MAKES = frozenset({"create", "refuse", "restore", "revive"})
"""What writes new records."""
SCRIPTS = WRITES | READS | {
    "appear", "begin", "cancel", "delete", "fetched", "give_back", "hook_done", "hook_later",
    "hooks", "keeper", "list",
    "renew", "requeued", "sweep",
}  # fmt: skip
"""All of them. What is neither read nor refused works on when Redis is full, so that it can become empty."""
SMALL = "finish_small"
"""`finish`, but also when Redis is full: for ends of a few bytes."""


TOLD = 8 << 10
"""Most bytes of input, output and problem that are told together with a job's end."""


@dataclass(frozen=True)
class Script:
    """One script as Redis knows it."""

    text: str
    sha: str


def load() -> dict[str, Script]:
    """Read them all, by name."""
    folder = resources.files("queued.store") / "lua"
    wanted = ", ".join(f"'{name}'" for name in RESULT)
    known = f"local SMALL, RESULT = {TOLD}, {{{wanted}}}"
    common, write = ((folder / f"{name}.lua").read_text() for name in ("common", "write"))
    scripts = {}
    for name in SCRIPTS | {SMALL}:
        own = (folder / f"{'finish' if name == SMALL else name}.lua").read_text()
        parts = ["#!lua" + _flags(name), known, common, *([write] if name in MAKES else []), own]
        text = "\n".join(parts)
        scripts[name] = Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
    return scripts


def _flags(name: str) -> str:
    if name in WRITES:
        return ""
    return " flags=no-writes" if name in READS else " flags=allow-oom"
