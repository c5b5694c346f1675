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
class FateLook:
    """How a fate's part of a bar looks, and what it is called."""

    words: str
    light: str
    dark: str
    hatch: str


FATE_LOOKS = {
    "in_time": FateLook("in time", "#dfe6ee", "#39434f", ""),
    "late": FateLook("late", "#9fbad6", "#55789e", ""),
    "rejected": FateLook("503 at once", "#e7c75a", "#a88a25", "\\\\"),
    "gateway_timeout": FateLook("504", "#8a2f27", "#d9695c", ""),
    "gave_up": FateLook("gave up", "#b58a93", "#8d6770", "--"),
    "error": FateLook("error", "#4a4f57", "#a9b1bb", "///"),
    "wrong": FateLook("wrong", "#d05fa8", "#d05fa9", "+"),
    "dropped": FateLook("not sent", "#cfd4da", "#6b7480", "++"),
    "lost": FateLook("lost", "#5b3a8c", "#a98ae0", "xx"),
    "unfinished": FateLook("unfinished", "#9aa3ad", "#7b8591", "||"),
}

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
"""The page's CSS variables for the house colours; systems and fates have theirs from `css_variables`."""


def css_variables() -> dict[str, tuple[str, str, str]]:
    """Every colour of systems and fates: light hex → (CSS variable, light, dark)."""
    found = {}
    for kind, looks in _LOOKS.items():
        for n, look in enumerate(looks):
            found[look.light] = (f"--{kind.replace('_', '-')}-{n}", look.light, look.dark)
    for fate, fate_look in FATE_LOOKS.items():
        found[fate_look.light] = (f"--fate-{fate.replace('_', '-')}", fate_look.light, fate_look.dark)
    return found
