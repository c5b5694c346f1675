"""The measures against loss, in the order in which they are switched on. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Measures:
    """Which measures are on."""

    ack: bool = False
    """The worker acknowledges a message itself, when it has worked on it, and holds one at a time."""
    persistent: bool = False
    """The queue is durable and the messages are written to disk."""
    confirms: bool = False
    """The web waits until the broker has confirmed a message before it accepts the job."""
    store_first: bool = False
    """The worker stores the result before it acknowledges, not after."""

    @property
    def words(self) -> str:
        """As `--with` takes them."""
        return ",".join(field.name.replace("_", "-") for field in fields(self) if getattr(self, field.name))


NAMES = tuple(field.name.replace("_", "-") for field in fields(Measures))


def parse(words: str) -> Measures:
    """Invert `Measures.words`. Raises ValueError with one clear line."""
    given = [word.strip() for word in words.split(",") if word.strip()]
    if unknown := [word for word in given if word not in NAMES]:
        raise ValueError(f"no such measure: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return Measures(**{word.replace("-", "_"): True for word in given})


def steps() -> Iterable[Measures]:
    """None of them, the first, the first two, …, all."""
    for n in range(len(NAMES) + 1):
        yield parse(",".join(NAMES[:n]))
