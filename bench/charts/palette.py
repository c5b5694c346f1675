"""How a system and a fate look: colour for light and dark, marker, line style and hatch. Pure.

Hues are a darkened Okabe-Ito set (Okabe & Ito, Color Universal Design, 2008), told apart by every common kind
of colour vision; markers, dashes and hatches carry the same in black and white.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.plan import Kind

Dashes = tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Look:
    """One system's look. Colours are `#rrggbb`."""

    light: str
    dark: str
    marker: str
    dashes: Dashes
    hatch: str


_SOLID: Dashes = (0, ())
_LONG: Dashes = (0, (5, 1.6))
_MIXED: Dashes = (0, (4, 1.4, 1.2, 1.4))
_DOTS: Dashes = (0, (1.3, 1.3))

_LOOKS: dict[Kind, tuple[Look, ...]] = {
    "blocking": (
        Look("#c8431a", "#ff8257", "s", _SOLID, "////"),
        Look("#e08a68", "#ffb79c", "p", _DOTS, "//"),
    ),
    "gunicorn": (
        Look("#a97300", "#f0b63c", "^", _LONG, "\\\\\\\\"),
        Look("#cf9f3a", "#ffd98a", ">", _DOTS, "\\\\"),
    ),
    "bounded": (
        Look("#00785a", "#3fcfa2", "D", _MIXED, "xxx"),
        Look("#4fa88e", "#95e6cd", "d", _DOTS, "xx"),
    ),
    "as_published": (
        Look("#97377f", "#ea8fd2", "v", _DOTS, "..."),
        Look("#c46cab", "#f6bfe6", "<", _MIXED, ".."),
    ),
    "queued": (
        Look("#0b5cad", "#62b2ff", "o", _SOLID, ""),
        Look("#0090a8", "#5cd6e8", "h", _LONG, "---"),
        Look("#5a54c4", "#aaa5ff", "X", _MIXED, "|||"),
        Look("#3f7f3f", "#9bd68f", "*", _DOTS, "oo"),
    ),
    "external": (Look("#3d4653", "#c3ccd8", "P", _SOLID, "++"),),
}


@dataclass(frozen=True)
class Palette:
    """Looks by a series' `key`: the same system looks the same in every chart of a run."""

    looks: dict[str, Look]

    def __getitem__(self, key: str) -> Look:
        return self.looks[key]

    @staticmethod
    def of(keys: Iterable[tuple[str, Kind]]) -> "Palette":
        """Give each key of a kind the next look of that kind, in a stable order."""
        looks: dict[str, Look] = {}
        taken: dict[Kind, int] = {}
        for key, kind in sorted(set(keys), key=lambda entry: (entry[1], len(entry[0]), entry[0])):
            n = taken.get(kind, 0)
            looks[key] = _LOOKS[kind][n % len(_LOOKS[kind])]
            taken[kind] = n + 1
        return Palette(looks)


@dataclass(frozen=True)
class PartLook:
    """How a part of a bar looks, and what it is called."""

    words: str
    light: str
    dark: str
    hatch: str


FATE_LOOKS = {
    "in_time": PartLook("in time", "#dfe6ee", "#39434f", ""),
    "late": PartLook("late", "#9fbad6", "#55789e", ""),
    "rejected": PartLook("503 at once", "#e7c75a", "#a88a25", "\\\\"),
    "gateway_timeout": PartLook("504", "#8a2f27", "#d9695c", ""),
    "gave_up": PartLook("gave up", "#b58a93", "#8d6770", "--"),
    "error": PartLook("error", "#4a4f57", "#a9b1bb", "///"),
    "wrong": PartLook("wrong", "#d05fa8", "#d05fa9", "+"),
    "dropped": PartLook("not sent", "#cfd4da", "#6b7480", "++"),
    "lost": PartLook("lost", "#5b3a8c", "#a98ae0", "xx"),
    "unfinished": PartLook("unfinished", "#9aa3ad", "#7b8591", "||"),
}

STAGE_LOOKS = {
    "send": PartLook("send delay", "#6d757e", "#a7b0ba", "xxx"),
    "accept": PartLook("accept", "#2f8f9d", "#5cc3d1", "\\\\\\\\"),
    "wait": PartLook("wait", "#e2a35f", "#c98a45", ""),
    "service": PartLook("service", "#bcd0c4", "#56705f", ""),
    "discovery": PartLook("discovery", "#8d79b8", "#8f79c4", "..."),
}
"""The parts of a response time, in the order of `bench.analysis.trial.stages.STAGES`."""
COMPONENT_LOOKS = {
    "web": PartLook("web", "#3f72a8", "#6fa4dc", ""),
    "worker": PartLook("worker", "#93c2a5", "#4f8f68", "////"),
    "broker": PartLook("broker", "#e0b04f", "#b88a2c", ""),
    "store": PartLook("store", "#b05c4c", "#d98473", "\\\\\\\\"),
    "gateway": PartLook("gateway", "#aab2bb", "#78838f", "xx"),
}
"""The processes of a system."""
WASTE_LOOKS = {
    "never_delivered": PartLook("never delivered", "#7c2431", "#de7b88", ""),
    "late": PartLook("late", FATE_LOOKS["late"].light, FATE_LOOKS["late"].dark, ""),
    "twice_or_cut": PartLook("twice or cut", "#55606c", "#8f9ba8", "///"),
}
"""What became of task time that was no use; late looks as a late job does."""

INK, MUTED, GRID, PAPER, SHADE, EDGE = "#1f2429", "#5c6670", "#e2e6eb", "#ffffff", "#f3ece1", "#fefefe"
"""Text; lesser text and guides; grid lines; background; the region above capacity; edges of bars."""
ALARM = "#c01c28"
"""What died."""

VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    PAPER: "--paper",
    SHADE: "--shade",
    EDGE: "--edge",
    ALARM: "--alarm",
}
"""The page's CSS variables for the house colours; systems and parts have theirs from `css_variables`."""


def css_variables() -> dict[str, tuple[str, str, str]]:
    """Every colour of systems and of parts of bars: light hex → (CSS variable, light, dark)."""
    found = {}
    for kind, looks in _LOOKS.items():
        for n, look in enumerate(looks):
            found[look.light] = (f"--{kind.replace('_', '-')}-{n}", look.light, look.dark)
    parts = {"waste": WASTE_LOOKS, "fate": FATE_LOOKS, "stage": STAGE_LOOKS, "component": COMPONENT_LOOKS}
    for family, part_looks in parts.items():
        for name, part in part_looks.items():
            found[part.light] = (f"--{family}-{name.replace('_', '-')}", part.light, part.dark)
    return found
