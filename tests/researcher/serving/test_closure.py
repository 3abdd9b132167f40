"""Serving needs what its own pinned closure holds and nothing else: no torch, no PySyft, no pandas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from support.dicom_files import made, written
from support.served_models import SIDE, as_file, one_colour

PROJECT = Path(__file__).resolve().parents[3]
LOCK = PROJECT / "researcher" / "serving" / "requirements.txt"
# Imports whatever serves, and answers files, while no module of another distribution than the closure's can be found.
PROGRAM = """
import importlib.metadata, re, sys

def named(text):
    return re.sub(r"[-_.]+", "-", text).lower()

held = {named(line.split("==")[0]) for line in open(sys.argv[1])}
owners = importlib.metadata.packages_distributions()

class OnlyTheClosure:
    def find_spec(self, name, path=None, target=None):
        of = owners.get(name.partition(".")[0])
        if of and not any(named(one) in held for one in of):
            raise ModuleNotFoundError(f"{name} is not in the closure", name=name)

sys.meta_path.insert(0, OnlyTheClosure())

import asyncio
from pathlib import Path
from researcher.cli import program
import researcher.cli.models.serving as command
import researcher.serving.server
from researcher.exported.session import ModelSession
from researcher.serving.classifier import Classifier
from researcher.evaluation.hold_out import load_hold_out
from researcher.serving.settings import ServingSettings
from researcher.serving.usual_look import UsualLook

program.make_program()
command._settings()
session = ModelSession.open(sys.argv[2])
look = UsualLook.of(load_hold_out(Path(sys.argv[3]), form=session.about.picture_form).images)
classifier = Classifier(session, ServingSettings(), look)

async def ask():
    classifier.batches.start()
    answer = await classifier.classify([Path(file).read_bytes() for file in sys.argv[4:]], None)
    await classifier.close()
    return answer

print(*(f"{one.classes[0].name}:{one.unlike_training.flagged}" for one in asyncio.run(ask()).pictures))
"""


def _pins(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if line and line.lstrip()[0] not in "#-"]
    return dict(line.split("==") for line in lines)


def test_pictures_are_answered_where_nothing_but_the_closure_can_be_imported(model: Path, tmp_path: Path) -> None:
    files = [tmp_path / "one.png", tmp_path / "one.dcm"]
    files[0].write_bytes(as_file(one_colour(0, 255, 0)))
    written(made(np.zeros((16, 16))), files[1])
    random = np.random.default_rng(0)
    public = random.integers(100, 140, (120, SIDE, SIDE, 3), dtype=np.uint8)
    np.savez(tmp_path / "public.npz", images=public, labels=random.integers(0, 3, 120))
    command = [sys.executable, "-c", PROGRAM, *map(str, (LOCK, model, tmp_path / "public.npz", *files))]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["green:True", "red:True"]


def test_the_closure_is_pinned_as_everything_else_is() -> None:
    own, whole = _pins(LOCK), _pins(PROJECT / "requirements.txt")
    assert own.items() <= whole.items()
    assert not own.keys() & {"torch", "syft", "pandas", "onnx"}
