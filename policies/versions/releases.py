"""Releases of Wanwu, and which of them work together. The newer side decides: it knows what the older one can do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import policies

Minor = tuple[int, int]
MINORS: tuple[Minor, ...] = ((0, 2), (0, 3))
"""Every minor version that was released, in order. The last one is this program's own; a new one is added here."""
MOST_BACK = 3
"""So many minor versions before its own a program works with."""
_RELEASE = re.compile(r"(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})(?:[a-z.+-][0-9a-z.+-]{0,20})?", re.ASCII)


@dataclass(frozen=True, order=True)
class Release:
    """One release: major, minor and patch number."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The release that a text such as `0.2.0` names; None where it is no such text."""
        found = _RELEASE.fullmatch(text)
        return None if found is None else cls(int(found[1]), int(found[2]), int(found[3]))

    @property
    def minor_version(self) -> Minor:
        """What it shares with the releases that only mend it."""
        return self.major, self.minor

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def own() -> Release:
    """This program's own release."""
    found = Release.parse(policies.__version__)
    if found is None:
        raise ValueError(f"policies.__version__ is {policies.__version__!r}, which is no release.")
    return found


def worked_with(minors: Sequence[Minor] = MINORS) -> Sequence[Minor]:
    """The minor versions that this program works with, oldest first: its own and those before it.

    Args:
        minors: Every one that was released, in order, this program's own last.
    """
    return minors[-1 - MOST_BACK :]


def is_too_old(other: Release | None, minors: Sequence[Minor] = MINORS) -> bool:
    """Whether the other side is older than what this program works with. Of a newer one, the other side decides.

    Args:
        other: The other side's release; None where it names none, as before the first release.
        minors: As of `worked_with`.
    """
    return other is None or (other.minor_version <= minors[-1] and other.minor_version not in worked_with(minors))


def told(minor: Minor) -> str:
    """A minor version as people write it."""
    return f"{minor[0]}.{minor[1]}"


def span(minors: Sequence[Minor] = MINORS) -> str:
    """The minor versions that this program works with, as a sentence names them."""
    served = worked_with(minors)
    return told(served[0]) if len(served) == 1 else f"{told(served[0])} to {told(served[-1])}"
