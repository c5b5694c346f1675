"""What the numbers say, in sentences: one module for each question. Pure.

A finding is written from figures only, never from expectation: where the queue loses, it says so. Above
capacity there is no steady state, so every sentence about it names its window.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One answer of the verdict."""

    key: str
    """Stable name, for links and tests."""
    label: str
    """Two or three words: what it is about."""
    text: str
    """One to four sentences."""
    lead: str = ""
    """The sentence that stands in the opening paragraph; empty: none."""

    @property
    def more(self) -> str:
        """What the text says beyond its sentence in the opening paragraph; empty where that is all."""
        return self.text.removeprefix(self.lead).strip() if self.lead else self.text
