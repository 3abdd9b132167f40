"""The key of a set of kernels: a digest over all that they hang on, so that none meets what it was not compiled for."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from datasites.runs.gpus import Gpu
from policies.plans.kinds import Plan
from policies.plans.training import TrainingPlan

_TRAINING = Path(__file__).resolve().parents[2] / "training"
_DRIVER = Path("/proc/driver/nvidia")
_MODEL = re.compile(r"^Model:\s*(.+?)\s*$", re.MULTILINE)
_MINOR = re.compile(r"^Device Minor:\s*(\d+)\s*$", re.MULTILINE)


def has_kernels(plan: Plan, gpus: Iterable[Gpu]) -> bool:
    """Whether rounds of a plan are computed by kernels where they have these GPUs."""
    return any(gpus) and isinstance(plan, TrainingPlan) and plan.privacy is not None and plan.run.device != "cpu"


def kernel_key(plan: TrainingPlan, gpus: Iterable[Gpu], *, driver: Path = _DRIVER) -> str:
    """The key of a plan's kernels on these GPUs.

    Guarantees:
        Of two plans with the same key, model, objective, engine, precision and views are the same, and so are the kind
        of GPU, its driver, torch, Triton, Python, and the code of this project that trains.

    Args:
        plan: Kernels hang on its layers, not on how many pictures a step takes or what is done with its sum.
        gpus: That the run was leased.
        driver: Where NVIDIA's driver tells of itself.

    Returns:
        64 hexadecimal digits.
    """
    told = json.loads(plan.to_json())
    facts = {
        "model": told["model"],
        "objective": told.get("objective"),
        "engine": plan.run.engine,
        "precision": plan.run.precision,
        "views": plan.augmentation_multiplicity * plan.pictures_per_patient,
        "gpus": sorted(_models(gpus, driver)),
        "driver": _text(driver / "version"),
        "versions": {name: _version(name) for name in ("torch", "triton")},
        "python": [sys.version, sys.platform],
        "sources": _sources(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _models(gpus: Iterable[Gpu], driver: Path) -> set[str]:
    told = {
        int(minor[1]): model[1]
        for file in driver.glob("gpus/*/information")
        if (minor := _MINOR.search(text := _text(file))) and (model := _MODEL.search(text))
    }
    return {told.get(gpu.minor, "unknown") for gpu in gpus}


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


@cache
def _sources() -> str:
    digest = hashlib.sha256()
    for file in sorted(_TRAINING.rglob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(_TRAINING)} {len(content)}\n".encode() + content)
    return digest.hexdigest()
