"""A folder's request for counts as it was asked, so that it is taken up again as that and as nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from policies.errors import ConfigError
from policies.plans.kinds import Plan
from policies.untrusted_text import in_one_form
from researcher import atomic_file
from researcher.studies.checkpoints import Checkpoint
from researcher.studies.rounds.outgoing import OutgoingWeights

ASKED_FILE = "asked.json"
_MOST_SHOWN = 60
_GO_ON = (
    "Give what it was asked with to go on with it, or ask anew into another folder with --out. The one in this folder "
    "stays with the hospitals, which may still approve it and charge it: if it is not wanted, withdraw it first with "
    "the command withdraw and this folder as --out."
)


@dataclass(frozen=True)
class AskedBefore:
    """The part of a request for counts that its plan does not say: what it is of.

    Attributes:
        class_names: Of the classes or findings, in the order in which they are counted.
        of_study: Digest of the plan of the study whose model is evaluated; empty where no model is.
        of_round: How many rounds went into that model; 0 where there is none.
        weights: SHA-256 of that model's weights; empty where there is none.
    """

    class_names: tuple[str, ...] = ()
    of_study: str = ""
    of_round: int = 0
    weights: str = ""

    @classmethod
    def of_model(cls, checkpoint: Checkpoint, plan: Plan) -> Self:
        """An evaluation of this model by this plan."""
        digest = OutgoingWeights.encode(checkpoint.weights, plan, 0).digest
        return cls(checkpoint.class_names, checkpoint.plan_digest, checkpoint.round, digest)

    def save(self, folder: Path) -> Path:
        """Writes it beside the request.

        Raises:
            ConfigError: The folder cannot be written.
        """
        return atomic_file.write(folder / ASKED_FILE, json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            ConfigError: There is none, or it was changed or cut.
        """
        path = folder / ASKED_FILE
        if not path.exists():
            raise ConfigError(
                f"{folder} does not say which classes it counts. Ask anew into another folder with --out."
            )
        try:
            values = json.loads(atomic_file.read(path))
            return cls(**{**values, "class_names": tuple(values["class_names"])})
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{path} was changed or cut ({error}). Take the folder's original, or ask anew into another folder "
                "with --out."
            ) from error

    def check_again(self, folder: Path, kept: Plan, wanted: Plan) -> None:
        """Returns if what is asked now is what the folder's request was asked for.

        Guarantees:
            The folder's answers are never told as those to another plan, model or order of classes.

        Args:
            folder: Of the request.
            kept: The plan that it was submitted with.
            wanted: The plan of what is asked now.

        Raises:
            ConfigError: Something differs: each setting of the plan that does is named, with both values.
        """
        if kept.kind != wanted.kind:
            raise ConfigError(
                f"{folder} holds a request of another kind, {kept.kind}; this one is of kind {wanted.kind}. Give "
                "another folder with --out."
            )
        if differ := "; ".join(_differing(json.loads(kept.to_json()), json.loads(wanted.to_json()))):
            raise ConfigError(f"{folder} holds a request with other settings: {differ}. {_GO_ON}")
        if self == type(self)():
            return  # a Gram matrix, of which the plan says all
        before = self.load(folder)
        if (before.of_study, before.of_round, before.weights) != (self.of_study, self.of_round, self.weights):
            raise ConfigError(
                f"{folder} holds the evaluation of another model, after round {before.of_round} of the study whose "
                f"plan begins with {before.of_study[:12]}; this one is after round {self.of_round} of that with "
                f"{self.of_study[:12]}. Give another folder with --out."
            )
        if in_one_form(before.class_names) != in_one_form(self.class_names):
            then, now = ", ".join(before.class_names), ", ".join(self.class_names)
            raise ConfigError(
                f"{folder} holds a request for counts of the classes {then}, in this order; they are {now} now. What "
                "was released stays in the folder under the names of then. Ask anew into another folder with --out."
            )


def _differing(then: Mapping[str, object], now: Mapping[str, object], within: str = "") -> Iterator[str]:
    """Each setting that two plans hold differently, with both values where they are short."""
    for name in sorted(then.keys() | now.keys()):
        one, other = then.get(name), now.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _differing(one, other, f"{within}{name}.")
        elif one != other:
            told = [json.dumps(value, ensure_ascii=False) if value is not None else "none" for value in (one, other)]
            if max(map(len, told)) > _MOST_SHOWN:
                yield f"{within}{name} is another"
            else:
                yield f"{within}{name} is {told[0]} there and {told[1]} here"
