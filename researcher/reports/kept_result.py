"""A finished study read back from its `result.json`, so that its report can be written again at home."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasites.training.finding_metrics import FindingScores
from policies.errors import ConfigError, FederationError, PlanError
from policies.plans.training import TrainingPlan
from researcher import atomic_file
from researcher.counts.saved import SavedCounts
from researcher.evaluation.evaluation import Evaluation
from researcher.reports.page import write_page
from researcher.reports.plots import write_plots
from researcher.reports.result import StudyResult, write_result
from researcher.studies.history import History, PrivacySpent
from researcher.studies.taking_part.canary_end import CanaryEnd
from researcher.studies.taking_part.invited import Invited


def read_result(path: Path | str) -> StudyResult:
    """Reads what `write_result` wrote, without the counts, which have files of their own.

    Raises:
        ConfigError: It is not there, or something else, or of an earlier version.
    """
    try:
        values = json.loads(atomic_file.read(path))
        return StudyResult(
            plan=TrainingPlan.from_json(json.dumps(values["plan"])),
            class_names=tuple(values["class_names"]),
            parameters=int(values["parameters"]),
            public_sizes=values["public_sizes"],
            privacy=_spent(values["privacy"]),
            history=History.from_json(json.dumps(values["history"])),
            local_only={name: _evaluation(scores) for name, scores in values["local_only"].items()},
            privacy_total=_spent(values["privacy_total"]),
            versions=values["versions"],
            finished=str(values["finished"]),
            simulated=str(values.get("simulated", "")),
            own_models={name: _evaluation(scores) for name, scores in values.get("own_models", {}).items()},
            at_home={name: float(share) for name, share in values.get("at_home", {}).items()},
            gram_noise=float(values["gram_noise"]) if "gram_noise" in values else None,
            canaries={name: CanaryEnd.of(end) for name, end in values.get("canaries", {}).items()},
            invited={name: Invited.of(one) for name, one in values.get("invited", {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, PlanError, FederationError) as error:
        raise ConfigError(f"{path} is not the result of a study as this version writes it ({error}).") from error


def write_again(folder: Path, counts: Sequence[Path]) -> None:
    """Writes the report in a study's folder again, with the counts of these folders in it.

    Raises:
        ConfigError: A file is not there, or something else; or the folder cannot be written.
        FederationError: Counts that do not belong to the study.
    """
    result = replace(read_result(folder / "result.json"), counts=tuple(SavedCounts.load(one) for one in counts))
    try:
        atomic_file.check_folder(folder)
    except ConfigError as error:
        raise ConfigError(
            f"{folder} cannot be written, and a study's report lies in its folder. Copy the folder to where you may "
            "write, and ask for the report of the copy."
        ) from error
    write_result(folder / "result.json", result)
    write_page(folder / "report.html", result, write_plots(folder, result))


def _spent(values: Mapping[str, Mapping[str, Any] | None]) -> dict[str, PrivacySpent | None]:
    return {name: PrivacySpent(**spent) if spent else None for name, spent in values.items()}


def _evaluation(values: Mapping[str, Any]) -> Evaluation:
    return Evaluation(
        accuracy=values["accuracy"],
        macro_f1=values["macro_f1"],
        recall=tuple(math.nan if share is None else share for share in values["recall"]),
        confusion=tuple(map(tuple, values["confusion"])),
        findings=tuple(FindingScores(**one) for one in values["findings"]),
    )
