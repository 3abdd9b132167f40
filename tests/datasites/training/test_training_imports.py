"""Training stays free of PySyft and of the rest of the datasite, so that it runs anywhere."""

from __future__ import annotations

import ast
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
