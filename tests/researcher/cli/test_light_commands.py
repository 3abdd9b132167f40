"""Commands that need no training import neither torch nor PySyft, nor what takes longer to import than they work.

An evaluation imports what runs its model, what reads its data and, where it is to say more than short scores, what
judges; a process's end does not wait for a search of all that it has imported.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import judged_models
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


NOT_FOR_SCORES = {
    "scipy",
    "cryptography",
    "researcher.judgement.judge",
    "researcher.html.page",
    "researcher.strategies",
}
NOT_FOR_TORCH = {"onnxruntime", "torchvision", "timm", "sympy", "torch._dynamo", "torch.distributed.tensor", "opacus"}


def written(folder: Path, kind: str) -> Path:
    """Public test data of one kind."""
    if kind == "an .npz":
        return judged_models.npz(folder / "test.npz")
    names, labels = judged_models.pictures(folder / "pictures")
    if kind == "a table":
        rows = [f"{name},{judged_models.CLASSES[label]}" for name, label in zip(names, labels.astype(int), strict=True)]
        (folder / "pictures" / "table.csv").write_text("\n".join(["path,label", *rows]) + "\n")
        return folder / "pictures" / "table.csv"
    for name, label in zip(names, labels.astype(int), strict=True):
        of_class = folder / "classes" / judged_models.CLASSES[label]
        of_class.mkdir(parents=True, exist_ok=True)
        (folder / "pictures" / name).rename(of_class / name)
    return folder / "classes"


@pytest.mark.parametrize("kind", ["an .npz", "a table", "a folder"])
def test_short_scores_of_an_exported_model_import_neither_torch_nor_what_judges(tmp_path: Path, kind: str) -> None:
    model, test_data = judged_models.onnx_model(tmp_path), written(tmp_path, kind)
    found = imported(tmp_path, "evaluate", "--model_path", model, "--test_data", test_data)
    assert "onnxruntime" in found and not (HEAVY | NOT_FOR_SCORES) & found


def test_a_judgement_of_exported_models_imports_no_torch_wherever_it_is_computed(tmp_path: Path) -> None:
    judged_models.npz(tmp_path / "other.npz", seed=5)
    model, test_data = judged_models.onnx_model(tmp_path), judged_models.npz(tmp_path / "test.npz")
    refused = tmp_path / "refused"  # stands before the house in the process that times the model, too
    refused.mkdir()
    (refused / "torch.py").write_text("raise AssertionError('torch is imported')\n")
    words = ["evaluate", "--model_path", model, "--test_data", test_data, "--calibrate_on", tmp_path / "other.npz"]
    words += ["--against", model, "--json", tmp_path / "judged.json", "--html", tmp_path / "judged.html"]
    done = subprocess.run(
        [sys.executable, "-m", "researcher", *map(str, words)],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "PYTHONPATH": f"{refused}{os.pathsep}{ENVIRONMENT.get('PYTHONPATH', '')}"},
        timeout=CEILING_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "judged.json").read_text())["speed"]["calls"] == 100


def test_short_scores_of_weights_import_torch_and_nothing_beside_it_that_they_do_without(tmp_path: Path) -> None:
    model, test_data = judged_models.safetensors_model(tmp_path), judged_models.npz(tmp_path / "test.npz")
    found = imported(tmp_path, "evaluate", "--model_path", model, "--test_data", test_data)
    needs = (HEAVY - {"torch"} | NOT_FOR_SCORES | NOT_FOR_TORCH) - {"cryptography"}  # whose keystream draws weights
    assert "torch" in found and not needs & found


def test_a_program_that_ends_is_not_searched_for_garbage_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    import researcher.__main__ as program

    monkeypatch.setattr(program, "_load", lambda: lambda: 3)
    try:
        assert program.main() == 3
        assert gc.get_freeze_count() > 0
    finally:
        gc.enable()
        gc.unfreeze()
