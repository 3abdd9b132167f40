"""A round as it was asked for: of which hospitals, noted before they are; who was killed finds what they charged."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from policies.errors import ConfigError
from researcher import atomic_file

ASKED_FILE = "asked.json"


@dataclass(frozen=True)
class AskedRound:
    """A round as it was asked for.

    Attributes:
        round: From 0, as in the ticket.
        weights: Digest of the global weights, as they were sent.
        datasites: Those that may have been asked.
    """

    round: int
    weights: str
    datasites: tuple[str, ...] = ()

    @classmethod
    def load(cls, folder: Path, round_index: int) -> Self:
        """What was noted of this round; nobody was asked if nothing was.

        Raises:
            ConfigError: The file is not as `save` writes it.
        """
        noted = cls.last(folder)
        return noted.at(round_index, noted.weights)

    @classmethod
    def last(cls, folder: Path) -> Self:
        """What was noted of the round that was asked for last; nobody was asked for the first if nothing was.

        Raises:
            ConfigError: The file is not as `save` writes it.
        """
        file = folder / ASKED_FILE
        if not file.exists():
            return cls(0, "")
        try:
            values = json.loads(atomic_file.read(file))
            return cls(int(values["round"]), str(values["weights"]), tuple(map(str, values["datasites"])))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(f"{file} is not what a study notes of a round. Remove it to go on without.") from error

    def save(self, folder: Path) -> None:
        """Notes it in a study's folder, in the place of the round before.

        Raises:
            ConfigError: The folder cannot be written.
        """
        atomic_file.write(folder / ASKED_FILE, json.dumps(asdict(self)))

    def at(self, round_index: int, weights: str) -> Self:
        """What is noted of this round with these weights: nobody, where they are others."""
        return self if (self.round, self.weights) == (round_index, weights) else type(self)(round_index, weights)

    def with_more(self, datasites: Iterable[str]) -> Self:
        """With these hospitals too."""
        return replace(self, datasites=tuple(dict.fromkeys((*self.datasites, *datasites))))
