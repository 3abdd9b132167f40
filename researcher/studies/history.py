"""The history of a study, round by round: public numbers only, of released models and public hold-outs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from datasites.training.finding_metrics import FindingScores, macro_auroc
from policies.errors import ConfigError, FederationError
from researcher import atomic_file
from researcher.html.element import Html
from researcher.studies.history_views import frame_of, html_of

if TYPE_CHECKING:
    import pandas

HISTORY_VERSION = 1
PHASES = ("queue", "transfer", "train", "aggregate", "total")
_OF_SOME = {"findings", "staleness", "under_way"}


@dataclass(frozen=True)
class PrivacySpent:
    """What a datasite's ledger says was spent: (epsilon, delta) per `unit`, a picture or a patient."""

    epsilon: float
    delta: float
    unit: str

    def to_dict(self) -> dict[str, float | str]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class RoundRecord:
    """One round, as the researcher saw it.

    Attributes:
        round: 1 for the first: the number of rounds in the global model that the scores are of.
        datasites: Those whose client update is in the mean; none in a round that was given up, after which the global
            model is what it was before.
        test_accuracy: Of the global model after the round, on the public hold-out, as `Evaluation.accuracy`.
        macro_f1: Likewise.
        confusion: Likewise, (num_classes, num_classes): rows are true classes, columns predicted. Empty for findings.
        seconds: Wall clock of each of `PHASES`.
        bytes_up: From the researcher to all datasites together.
        bytes_down: From all datasites together to the researcher.
        epsilon: Datasite → spent by the study up to this round; empty where nothing is private.
        skipped: Datasite → public reason why its update is not in the mean.
        findings: How well each finding is told on the public hold-out; empty where labels are classes.
        staleness: Of late updates in the mean: datasite → how many rounds before this one it was asked for.
        under_way: Datasite → the round that it was asked for and whose client update is still to come.
    """

    round: int
    datasites: tuple[str, ...]
    test_accuracy: float
    macro_f1: float
    confusion: tuple[tuple[int, ...], ...]
    seconds: Mapping[str, float]
    bytes_up: int
    bytes_down: int
    epsilon: Mapping[str, float] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[FindingScores, ...] = ()
    staleness: Mapping[str, int] = field(default_factory=dict)
    under_way: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.seconds) != set(PHASES):
            raise FederationError(f"seconds must name {', '.join(PHASES)}, got {', '.join(self.seconds)}.")
        if not self.datasites and not self.skipped:
            raise FederationError(f"Round {self.round} names no datasite: neither one in the mean nor one without.")
        object.__setattr__(self, "findings", tuple(map(_finding, self.findings)))
        numbers = [self.test_accuracy, self.macro_f1, *self.seconds.values(), *self.epsilon.values()]
        numbers += [value for finding in self.findings for value in vars(finding).values() if value is not None]
        if not all(math.isfinite(number) for number in numbers):
            raise FederationError(f"Round {self.round} holds a number that is not finite.")
        object.__setattr__(self, "datasites", tuple(self.datasites))
        rows = tuple(tuple(int(count) for count in row) for row in self.confusion)
        object.__setattr__(self, "confusion", rows)
        for name in ("seconds", "epsilon", "skipped", "staleness", "under_way"):
            object.__setattr__(self, name, dict(getattr(self, name)))

    @property
    def macro_auroc(self) -> float | None:
        """Mean AUROC over the findings that have one; None where none has, or labels are classes."""
        return macro_auroc(self.findings)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON; without what only some rounds have, where it is empty."""
        return {name: value for name, value in asdict(self).items() if value or name not in _OF_SOME}


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


def _finding(values: FindingScores | Mapping[str, Any]) -> FindingScores:
    return values if isinstance(values, FindingScores) else FindingScores(**values)


def _record(values: Mapping[str, Any]) -> RoundRecord:
    if _OF_SOME | set(values) != {f.name for f in fields(RoundRecord)}:
        raise FederationError(f"A round record has other fields: {', '.join(sorted(values))}.")
    return RoundRecord(**values)
