"""The history of a study, round by round: public numbers only, of released models and public hold-outs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from policies.errors import ConfigError, FederationError
from researcher import atomic_file
from researcher.html.element import Html
from researcher.studies.history_views import frame_of, html_of
from researcher.studies.rounds.round_record import OF_SOME, PHASES, RoundRecord

if TYPE_CHECKING:
    import pandas

__all__ = ["PHASES", "History", "PrivacySpent", "RoundRecord"]

HISTORY_VERSION = 1


@dataclass(frozen=True)
class PrivacySpent:
    """What a datasite's ledger says was spent: (epsilon, delta) per `unit`, a picture or a patient."""

    epsilon: float
    delta: float
    unit: str

    def to_dict(self) -> dict[str, float | str]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass
class History:
    """The rounds of a study in order; grows by `append` alone."""

    records: list[RoundRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        records, self.records = self.records, []
        for record in records:
            self.append(record)

    def __len__(self) -> int:
        """Number of rounds."""
        return len(self.records)

    def append(self, record: RoundRecord) -> None:
        """Adds the next round.

        Raises:
            FederationError: The record is not of round `len(self) + 1`.
        """
        if record.round != len(self.records) + 1:
            raise FederationError(f"Expected round {len(self.records) + 1}, got round {record.round}.")
        self.records.append(record)

    def to_json(self) -> str:
        """JSON of all rounds, one version number beside them."""
        rounds = [record.to_dict() for record in self.records]
        return json.dumps({"version": HISTORY_VERSION, "rounds": rounds}, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Reads what `to_json` writes.

        Args:
            text: JSON.

        Raises:
            ConfigError: Not a history of this version.
        """
        try:
            values = json.loads(text)
            version, records = values["version"], [_record(item) for item in values["rounds"]]
            history = cls(records)
        except (ValueError, KeyError, TypeError, FederationError) as error:
            raise ConfigError(f"Expected a study's history as JSON, got something else ({error}).") from error
        if version != HISTORY_VERSION:
            raise ConfigError(f"Expected a history of version {HISTORY_VERSION}, got {version!r}.")
        return history

    def to_frame(self) -> pandas.DataFrame:
        """The rounds as a pandas frame, a row for each, indexed by `round`.

        Columns are `datasites` and `skipped` (numbers of hospitals), `test_accuracy`, `macro_f1` and `macro_auroc`
        (shares of 1), `seconds_` with each of `PHASES` (seconds), `bytes_up` and `bytes_down` (bytes), and `epsilon_`
        with each hospital's name (spent there up to the round). `frame.attrs["units"]` tells each column's unit.
        """
        return frame_of(self.records)

    def to_html(self) -> Html:
        """The curves and the table that a notebook shows, escaped."""
        return html_of(self.records)

    def _repr_html_(self) -> Html:
        return self.to_html()

    def save(self, path: Path | str) -> Path:
        """Replaces the file at `path` in one step."""
        return atomic_file.write(path, self.to_json())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Reads a saved history, to resume a study; an absent file is a study that has not begun.

        Args:
            path: The file that `save` wrote.

        Raises:
            ConfigError: The file is there and is not a history.
        """
        return cls.from_json(atomic_file.read(path)) if Path(path).exists() else cls()


def _record(values: Mapping[str, Any]) -> RoundRecord:
    if OF_SOME | set(values) != {f.name for f in fields(RoundRecord)}:
        raise FederationError(f"A round record has other fields: {', '.join(sorted(values))}.")
    return RoundRecord(**values)
