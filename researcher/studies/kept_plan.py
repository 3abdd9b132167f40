"""The plan in a study's folder, read without a connection to anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from policies.errors import ConfigError
from policies.plans.kinds import Plan, parse
from policies.plans.training import TrainingPlan
from researcher.hospitals.code_request import CodeRequest
from researcher.studies.asked_round import ASKED_FILE
from researcher.studies.taking_part.canary_end import CanaryEnd, canary_ends
from researcher.studies.taking_part.invited import Invited, all_invited

STUDY_FILE = "study.json"
"""Name of the file in a study's folder that holds its plan and its code requests."""
GRAPH_FILE = "model.graph.json"
"""Name of the file in a study's folder that holds the graph of an own model, for people; what counts is in the plan."""
LOSS_FILE = "loss.graph.json"
"""Likewise of an own loss."""

RECEIPTS = "receipts"
"""Folder in a study's folder that holds its receipts and their hospitals' keys."""
GRAM_RECEIPTS = "gram_receipts"
"""Folder in a study's folder that holds those of the Gram matrix that it steps by, a request of its own."""

Kept = tuple[Plan, dict[str, CodeRequest], dict[str, str], dict[str, CanaryEnd], dict[str, Invited]]
"""A submission's plan, requests, refusals, canaries, and who was invited."""


def read_plan(folder: Path | str) -> tuple[TrainingPlan, tuple[str, ...]]:
    """The plan that a folder's study was submitted with, and the datasites that have a request.

    Raises:
        ConfigError: The folder holds no study, or its file was cut.
        PlanError: Its plan is none of this version, or no plan of training.
    """
    path = Path(folder) / STUDY_FILE
    try:
        values = kept(folder)
        plan, names = TrainingPlan.from_json(values["plan"]), tuple(map(str, values["requests"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path} was changed or cut. Take the folder's original, or a copy of it.") from error
    return plan, names


def kept(folder: Path | str) -> Any:
    """What a study's file holds, as JSON has it.

    Raises:
        ConfigError: There is none, or it may not be read.
        ValueError: It is no JSON.
    """
    path = Path(folder) / STUDY_FILE
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError(f"{folder} holds no study. Submit one first, or give the folder of one.") from error
    except OSError as error:  # it is another's, perhaps: whoever submits it again spends its budget again
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}). Ask whose folder it is to let you read it."
        ) from error


def read_submission(folder: Path) -> Kept:
    """What a folder holds of a submission of any kind of plan.

    Raises:
        ConfigError: It holds none, or its file was changed or cut.
    """
    try:
        values = kept(folder)
        requests = {name: CodeRequest(**request) for name, request in values["requests"].items()}
        plan, refused = parse(values["plan"]), dict(values.get("refused", {}))
        return plan, requests, refused, canary_ends(values.get("canaries")), all_invited(values.get("invited"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{folder / STUDY_FILE} was changed or cut, so it holds no study that can go on. Take the folder's "
            "original, or a copy of it: hospitals charge a study that is submitted again."
        ) from error


def check_free(folder: Path) -> None:
    """Refuses a folder that a new study would not have for itself.

    Raises:
        ConfigError: It holds one, or the rounds of one.
    """
    if (folder / STUDY_FILE).exists():
        raise ConfigError(f"{folder} already holds a study. Continue it, or choose another folder.")
    if (folder / ASKED_FILE).exists():
        raise ConfigError(
            f"{folder} holds rounds of a study, and {STUDY_FILE}, which names its requests, is gone. Take the folder's "
            "original, or a copy of it, or choose another folder: hospitals charge a study that is submitted again."
        )
