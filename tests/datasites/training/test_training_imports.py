"""Training stays free of PySyft and of the rest of the datasite, so that it runs anywhere."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import datasites.training

ALLOWED = {
    "torch",
    "triton",
    "torchvision",
    "timm",
    "safetensors",
    "opacus",
    "numpy",
    "cryptography",
    "policies",
} | set(sys.stdlib_module_names)
FILES = sorted(Path(next(iter(datasites.training.__path__))).rglob("*.py"))


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_training_imports_only_what_it_may(file):
    for name in imported(ast.parse(file.read_text())):
        assert name.startswith("datasites.training") or name.split(".")[0] in ALLOWED, name


PRIVATE_ROUND = """
import sys
import numpy as np
from datasites.training.local_round import train_round
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan
model = ModelSpec("small_cnn", (16, 16, 1), 3, {"width": 4})
plan = TrainingPlan(study="study", dataset="dataset", model=model, rounds=1, steps_per_round=1, sample_rate=0.5,
                    learning_rate=0.1, run=RunSpec(device="cpu"), privacy=PrivacySpec(1.0, 1.0, 1e-5))
pictures = LabelledPictures(np.zeros((40, 16, 16, 1), np.uint8), np.arange(40) % 3, np.arange(40), 40)
train_round(plan, 0, initial_weights(model, 0), pictures)
print(sorted({"torch._dynamo", "sympy"} & set(sys.modules)))
"""


def test_a_private_round_on_a_processor_imports_no_compiler():
    """It takes as long as torch itself, in every run anew."""
    done = subprocess.run([sys.executable, "-c", PRIVATE_ROUND], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
