"""A real study's model on its whole way: judged, exported, in 8 bits, backed by receipts, served, asked by HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from rich.console import Console
from support.dicom_files import made, written
from support.hospitals import CLASSES, Hospital, command, small_plan
from support.served_models import as_file, serving
from support.waiting import CEILING_SECONDS

from datasites.picture_files.decode import decode
from researcher.evaluation.hold_out import HoldOut
from researcher.exported.session import ModelSession
from researcher.hospitals.federation import Federation
from researcher.studies.study import Study
from researcher.terminal.training_session import MODEL_FILE, train_study

FILES = {"onnx": "global_model.onnx", "onnx-int8": "global_model.int8.onnx"}
MOST_LOST, SAME = 0.01, 1e-6


def _trained(hospitals: dict[str, Hospital], federation: Federation, hold_out: HoldOut, folder: Path) -> None:
    """A study of two hospitals, finished, with its receipts beside its model."""
    study = Study.submit(federation, small_plan(federation, study="to-a-clinic"), folder)
    for name, request in study.requests.items():
        hospitals[name].admin("approve", request.request_id)
    train_study(study, hold_out, console=Console(quiet=True), min_clients=2, seed=0, out=folder)
    study.end()
    study.receipts(folder)


def _judged(model: Path, public: Path, out: Path) -> dict[str, Any]:
    command("-m", "researcher", "evaluate", "--model_path", model, "--test_data", public, "--json", out)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def _classified(url: str, content: bytes, kind: str) -> dict[str, float]:
    asked = {"content": content, "headers": {"content-type": kind}, "timeout": CEILING_SECONDS}
    answer = httpx.post(f"{url}/v1/classify", **asked).raise_for_status()  # type: ignore[arg-type]
    return {one["name"]: one["probability"] for one in answer.json()["pictures"][0]["classes"]}


@pytest.mark.slow
def test_a_studys_model_is_judged_exported_backed_and_served(
    hospitals: dict[str, Hospital], federation: Federation, hold_out: HoldOut, tmp_path: Path
) -> None:
    study, public = tmp_path / "study", tmp_path / "public.npz"
    _trained(hospitals, federation, hold_out, study)
    np.savez(public, images=hold_out.images, labels=hold_out.labels, class_names=np.array(CLASSES))
    before = _judged(study / MODEL_FILE, public, tmp_path / "float.json")["scores"]["accuracy"]["value"]
    for kind, name in FILES.items():
        given = ["--format", kind, "--test", public, "--calibrate_on", public]
        said = command("-m", "researcher", "export", "--study", study, *given).stdout
        assert f"Held against the torch model on {len(hold_out.images)} public pictures" in " ".join(said.split())
        judged = _judged(study / name, public, tmp_path / f"{kind}.json")
        assert judged["model"]["format"] == kind
        assert judged["scores"]["accuracy"]["value"] >= before - MOST_LOST
        command("-m", "researcher", "receipt", "verify-model", study / name, "--out", study)
    picture = hold_out.images[0]
    png, dicom = tmp_path / "one.png", written(made(picture[:, :, 0]), tmp_path / "one.dcm")
    png.write_bytes(as_file(picture[:, :, 0]))
    session = ModelSession.open(study / FILES["onnx-int8"])
    with serving(study / FILES["onnx-int8"]) as url:
        for file, kind in ((png, "image/png"), (dicom, "application/dicom")):
            expected = session.probabilities(decode(file, session.about.picture_form)[None])[0]
            found = _classified(url, file.read_bytes(), kind)
            assert found == pytest.approx(dict(zip(CLASSES, map(float, expected), strict=True)), abs=SAME)
