"""Commands that need no training import neither torch nor PySyft, nor what takes longer to import than they work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.exported_models import write_model
from support.hospitals import ENVIRONMENT, write_pictures
from support.signed_studies import write_study
from support.waiting import CEILING_SECONDS

HEAVY = {"torch", "opacus", "syft", "dp_accounting", "matplotlib", "pandas", "onnx", "scipy.stats", "scipy.signal"}
PROGRAM = """
import json, sys
from researcher.cli import main
status = main(sys.argv[2:])
open(sys.argv[1], "w").write(json.dumps([status, sorted(sys.modules)]))
"""


def imported(folder: Path, *words: str | Path) -> set[str]:
    """The modules that a command of the researcher, ending well, has imported in a process of its own."""
    told = folder / "told.json"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(told), *map(str, words)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=CEILING_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    status, modules = json.loads(told.read_text())
    assert status == 0, done.stdout + done.stderr
    return set(modules)


@pytest.mark.parametrize("command", ["verify", "verify-model", "evaluate"])
def test_what_needs_no_training_imports_nothing_of_it(tmp_path: Path, command: str) -> None:
    if command == "evaluate":
        write_pictures(tmp_path / "test.npz", sites=("a",), each=40)
        model = write_model(tmp_path / "model.onnx")
        found = imported(tmp_path, "evaluate", "--model_path", model, "--test_data", tmp_path / "test.npz")
        assert "onnxruntime" in found
    elif command == "verify":
        receipts = write_study(tmp_path) / "receipts"
        key, receipt = receipts / "north.key", receipts / "north.receipt.json"
        found = imported(tmp_path, "receipt", "verify", receipt, "--key", key)
        assert "opacus_files.prv" in found
    else:
        model = write_study(tmp_path) / "global_model.safetensors"
        found = imported(tmp_path, "receipt", "verify-model", model, "--out", tmp_path)
    assert not HEAVY & found
