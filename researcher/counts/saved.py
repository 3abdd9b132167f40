"""Released counts in a file, with the plan that they answer and the model that they are of. All of it was released."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

from policies.errors import ConfigError, PlanError
from policies.plans.kinds import parse
from policies.plans.releases import EvaluationPlan, StatisticsPlan
from researcher import atomic_file
from researcher.counts.comparison import Difference, differences
from researcher.counts.intervals import Interval, share_interval
from researcher.counts.noised_metrics import auroc_of, metrics_of
from researcher.counts.releases import Released

FILES = ("evaluation.json", "statistics.json")
_LEAST_DRAWS_BEYOND = 20  # of a bootstrap, on either side of an interval


@dataclass(frozen=True)
class SavedCounts:
    """What hospitals released on one request for counts.

    Attributes:
        plan: The request's.
        released: What came.
        class_names: Of the classes or findings, in order.
        of_study: Digest of the plan of the study whose model was evaluated; empty for statistics.
        of_round: How many rounds went into that model; 0 for statistics.
    """

    plan: EvaluationPlan | StatisticsPlan
    released: Released
    class_names: tuple[str, ...]
    of_study: str = ""
    of_round: int = 0

    def save(self, folder: Path) -> Path:
        """Writes `evaluation.json` or `statistics.json` into the folder."""
        released = self.released
        arrays = {name: {key: array.tolist() for key, array in of.items()} for name, of in released.arrays.items()}
        values = {
            "noise_std": released.noise_std,
            "epsilon": dict(released.epsilon),
            "skipped": dict(released.skipped),
            "released": arrays,
            "plan": json.loads(self.plan.to_json()),
            "class_names": list(self.class_names),
            "of_study": self.of_study,
            "of_round": self.of_round,
        }
        return atomic_file.write(folder / f"{self.plan.kind}.json", json.dumps(values))

    @classmethod
    def load(cls, path: Path) -> SavedCounts:
        """Reads what `save` wrote.

        Args:
            path: The file, or its folder.

        Raises:
            ConfigError: There is none, or it is something else.
        """
        path = next((path / name for name in FILES if (path / name).is_file()), path) if path.is_dir() else path
        try:
            values = json.loads(atomic_file.read(path))
            plan = parse(json.dumps(values["plan"]))
            if not isinstance(plan, EvaluationPlan | StatisticsPlan):
                raise TypeError(f"a plan of kind {plan.kind}")
            arrays = {
                name: {key: np.array(of[key], np.float32).reshape(shape) for key, shape in plan.outputs.items()}
                for name, of in values["released"].items()
            }
            released = Released(arrays, float(values["noise_std"]), values["epsilon"], values["skipped"])
            return cls(plan, released, tuple(values["class_names"]), values["of_study"], int(values["of_round"]))
        except (KeyError, TypeError, ValueError, AttributeError, PlanError) as error:
            raise ConfigError(
                f"{path} holds no counts as 'evaluate --at_hospitals' and 'statistics' write them ({error})."
            ) from error

    def to_dict(self) -> dict[str, object]:
        """What is said from the counts, as plain values: intervals at 0.95 as [value, low, high], and differences."""
        return {
            "kind": self.plan.kind,
            "of_round": self.of_round,
            "noise_std": self.released.noise_std,
            "epsilon": dict(self.released.epsilon),
            "skipped": dict(self.released.skipped),
            "hospitals": {
                hospital: {name: list(vars(one).values()) for name, one in found.items()}
                for hospital, found in self.intervals().items()
            },
            "differences": [
                {
                    "of": name,
                    "first": one.first,
                    "second": one.second,
                    "told_apart": one.told_apart,
                    **vars(one.interval),
                }
                for name, found in self.differences().items()
                for one in found
            ],
        }

    @property
    def measures(self) -> dict[str, Callable[[float], dict[str, Interval]]]:
        """What hospitals are compared by: name → hospital → interval at a level.

        Of an evaluation that is accuracy, or for findings their mean AUROC; of statistics each class's share, or that
        of the units which have a finding, among those of which it is known.
        """
        if isinstance(self.plan, StatisticsPlan):
            return {f"share of {name}": self._share_of(place) for place, name in enumerate(self.class_names)}
        if self.plan.model.label_kind == "multi":
            return {"macro AUROC": self._aurocs} if self.plan.score_bins else {}
        return {"accuracy": self._accuracies}

    def differences(self) -> dict[str, tuple[Difference, ...]]:
        """Measure → every two hospitals' difference; all of them together hold with probability 0.95."""
        found, level = self.measures, 0.95
        together = 1 - (1 - level) / max(len(found), 1)
        return {name: differences(at_level, level=together) for name, at_level in found.items()}

    def intervals(self) -> dict[str, dict[str, Interval]]:
        """Hospital → measure → its own interval at 0.95."""
        found = {name: at_level(0.95) for name, at_level in self.measures.items()}
        return {hospital: {name: of[hospital] for name, of in found.items()} for hospital in self.released.arrays}

    def _accuracies(self, level: float) -> dict[str, Interval]:
        spread = self.released.noise_std
        return {
            name: metrics_of(of["confusion"], noise_std=spread, level=level, draws=100).accuracy
            for name, of in self.released.arrays.items()
        }

    def _aurocs(self, level: float) -> dict[str, Interval]:
        spread, draws = self.released.noise_std, max(2000, round(2 * _LEAST_DRAWS_BEYOND / (1 - level)))
        return {
            name: auroc_of(of["scores"], noise_std=spread, level=level, draws=draws).macro
            for name, of in self.released.arrays.items()
        }

    def _share_of(self, place: int) -> Callable[[float], dict[str, Interval]]:
        return lambda level: {name: self._share(of, place, level) for name, of in self.released.arrays.items()}

    def _share(self, arrays: Mapping[str, np.ndarray], place: int, level: float) -> Interval:
        spread = self.released.noise_std
        if "finding_counts" in arrays:
            absent, present, _ = (float(count) for count in arrays["finding_counts"][place])
            return share_interval(present, absent, hit_spread=spread, other_spread=spread, z=_z(level))
        counts = arrays["class_counts"].astype(np.float64)
        others, rest = float(counts.sum() - counts[place]), spread * float(np.sqrt(len(counts) - 1))
        return share_interval(float(counts[place]), others, hit_spread=spread, other_spread=rest, z=_z(level))


def _z(level: float) -> float:
    """Standard deviations of a normal value on either side that hold it with probability `level`."""
    return NormalDist().inv_cdf((1 + level) / 2)
