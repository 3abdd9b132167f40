"""The plan in a study's folder, read without a connection to anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from policies.errors import ConfigError
from policies.plans.training import TrainingPlan

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
