"""Released Gram matrices in a folder, with the plan that they answer: asked for once, and read by every later study."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from policies.budget.accountant import epsilon_spent, plan_spend, round_spend
from policies.errors import ConfigError, PlanError
from policies.plans.releases import GramPlan
from policies.plans.training import TrainingPlan
from researcher import atomic_file, weights_file
from researcher.counts.releases import Released
from researcher.strategies import FeatureGram, released_digest
from researcher.studies.history import PrivacySpent
from researcher.studies.kept_plan import GRAM_RECEIPTS, RECEIPTS
from researcher.weights_file import WeightsFile

GRAM_FILE = "gram.json"
_ARRAYS = "gram-{digest}.safetensors"
_MOST_UNITS = 10**15


@dataclass(frozen=True)
class KeptGram:
    """What hospitals released on one request for a Gram matrix.

    Attributes:
        plan: The request's.
        arrays: Datasite → `squares` and `products`, as the plan's `outputs` declares them.
        public_sizes: Datasite → its declared number of privacy units.
        epsilon: Datasite → what it cost there.
    """

    plan: GramPlan
    arrays: Mapping[str, Mapping[str, np.ndarray]]
    public_sizes: Mapping[str, int]
    epsilon: Mapping[str, float]

    @classmethod
    def of(cls, plan: GramPlan, released: Released, public_sizes: Mapping[str, int]) -> Self:
        """What came, of those that answered."""
        return cls(plan, released.arrays, {name: public_sizes[name] for name in released.arrays}, released.epsilon)

    @property
    def digests(self) -> dict[str, str]:
        """Datasite → SHA-256 of what it released, which its receipt of the request names."""
        return {name: released_digest(arrays) for name, arrays in self.arrays.items()}

    def summed(self) -> FeatureGram:
        """The matrix of all of them together."""
        return FeatureGram.of(self.arrays.values(), float(sum(self.public_sizes.values())))

    def check_for(self, plan: TrainingPlan) -> None:
        """Refuses a study whose head reads other features.

        Raises:
            ConfigError: The model or the dataset is another.
        """
        own, other = self.plan.model, plan.model
        same = (own.name, own.image_shape, dict(own.options)) == (other.name, other.image_shape, dict(other.options))
        if not same or self.plan.dataset != plan.dataset:
            raise ConfigError(
                f"The Gram matrix is of the features of {own.name} {dict(own.options)} of dataset "
                f"{self.plan.dataset!r}, the study is of {other.name} {dict(other.options)} of {plan.dataset!r}. Ask "
                "for that of the study's model with 'python -m researcher gram'."
            )

    def with_study(
        self, plan: TrainingPlan, privacy: Mapping[str, PrivacySpent | None]
    ) -> dict[str, PrivacySpent | None]:
        """Datasite → what this matrix and a study that steps by it cost there together: the steps of both, composed.

        Guarantees:
            Never less than what the two cost, at the study's delta.

        Args:
            plan: The study's.
            privacy: Datasite → what its ledger says that the study alone spent; None where it said nothing.

        Returns:
            For the datasites of `privacy`; None where neither the matrix nor the study has a known cost.
        """
        if plan.privacy is None:
            return dict(privacy)
        delta, unit, found = plan.privacy.delta, plan.privacy.unit, dict(privacy)
        for name in self.arrays.keys() & privacy.keys():
            spent = privacy[name]
            rounds = 0 if spent is None else _rounds_of(plan, spent.epsilon)
            steps = (*plan_spend(self.plan), *[round_spend(plan)] * rounds)
            both = epsilon_spent((one for one in steps if one), delta)
            found[name] = PrivacySpent(both if spent is None else max(both, spent.epsilon), delta, unit)
        return found

    def save(self, folder: Path) -> Path:
        """Writes it into a folder: a Gram's own, or a study's that steps by it.

        Raises:
            ConfigError: The folder cannot be written.
        """
        names = sorted(self.arrays)
        flat = {
            f"{number}.{output}": self.arrays[name][output]
            for number, name in enumerate(names)
            for output in self.plan.outputs
        }
        about = {
            "plan": json.loads(self.plan.to_json()),
            "datasites": names,
            "public_sizes": dict(self.public_sizes),
            "epsilon": dict(self.epsilon),
            "digests": self.digests,
            "arrays": weights_file.write(folder, _ARRAYS, flat).to_dict(),
        }
        return atomic_file.write(folder / GRAM_FILE, json.dumps(about))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            ConfigError: There is none in the folder, or it was changed or cut.
        """
        path = folder / GRAM_FILE
        if not path.exists():
            raise ConfigError(f"{folder} holds no Gram matrix. Ask for one with 'python -m researcher gram'.")
        try:
            about = json.loads(atomic_file.read(path))
            plan = GramPlan.from_json(json.dumps(about["plan"]))
            flat = weights_file.read(folder, WeightsFile(**about["arrays"]))
            arrays = {
                str(name): {output: flat[f"{number}.{output}"].reshape(shape) for output, shape in plan.outputs.items()}
                for number, name in enumerate(about["datasites"])
            }
            sizes = {name: int(about["public_sizes"][name]) for name in arrays}
            if not all(0 < size <= _MOST_UNITS for size in sizes.values()):
                raise ValueError("a public size is none")
            found = cls(plan, arrays, sizes, {str(name): float(of) for name, of in about["epsilon"].items()})
            if about.get("digests", found.digests) != found.digests:  # release 0.2 noted none
                raise ValueError("its digests are of other arrays")
            return found
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError, PlanError) as error:
            raise ConfigError(f"{path} was changed or cut ({error}). Take the folder's original.") from error


def keep_receipts(gram: Path, folder: Path) -> None:
    """Copies the receipts of a Gram matrix, and their keys, into the folder of a study that steps by it.

    Args:
        gram: Folder of the matrix, as `gram` wrote it, or of another study that keeps it.
        folder: Of the study.

    Raises:
        ConfigError: A file cannot be read or written.
    """
    kept = gram / GRAM_RECEIPTS
    for file in (kept if kept.is_dir() else gram / RECEIPTS).glob("*.*"):
        atomic_file.write(folder / GRAM_RECEIPTS / file.name, atomic_file.read(file))


def _rounds_of(plan: TrainingPlan, epsilon: float) -> int:
    """The fewest rounds of a plan that cost as much; all of them where none do."""
    one = round_spend(plan)
    steps, delta = [one] if one else [], plan.privacy.delta if plan.privacy else 0.0
    least = epsilon * (1 - 1e-9)
    return bisect_left(range(plan.rounds), least, key=lambda rounds: epsilon_spent(steps * rounds, delta))
