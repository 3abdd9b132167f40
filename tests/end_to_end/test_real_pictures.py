"""The main job on real pictures, where they are: beside the project in shared/data, or where WANWU_REAL_DATA says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import ENVIRONMENT, PROJECT, make_hospital, running, small_plan

REAL_DATA = Path(os.environ.get("WANWU_REAL_DATA", PROJECT.parent / "shared" / "data"))
pytestmark = [pytest.mark.real_data, pytest.mark.timeout(1800)]


def _set(name: str) -> Path:
    folder = REAL_DATA / name
    if not (folder / "train.npz").exists():
        pytest.skip(f"the real pictures of {name} are not here")
    return folder


def test_four_sites_of_red_blood_cells_train_a_model_within_epsilon_eight(tmp_path: Path) -> None:
    cells = _set("rbc_chula")
    demo = ["-m", "researcher", "demo", "--data", cells / "train.npz", "--test", cells / "test.npz", "--out", tmp_path]
    done = subprocess.run([sys.executable, *map(str, demo), "--port", "18081"], cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode == 0
    result: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())
    assert len(result["datasites"]) == 4
    for spent in result["privacy_total"].values():
        assert spent["epsilon"] <= 8 and spent["delta"] == 1e-5
    assert result["test_accuracy"][-1] >= 0.7
    assert result["test_accuracy"][-1] > max(result["local_only_accuracy"].values())


def test_patients_of_chest_pictures_are_the_privacy_unit_from_card_to_receipt(tmp_path: Path) -> None:
    from datasites.training.models import initial_weights
    from policies.ledger.receipt import verify
    from researcher.evaluation.hold_out import load_hold_out
    from researcher.hospitals.federation import Federation
    from researcher.studies.study import Study

    chests = _set("cxr_hannover")
    hospital = make_hospital(tmp_path, "hannover", _one_site(chests / "train.npz", tmp_path), unit="patient")
    hospital.configure(min_public_size=20)
    with running(hospital), Federation.connect([hospital.credentials()]) as federation:
        (info,) = federation.datasets()
        patients = len(set(np.load(chests / "train.npz")["groups"].tolist()))
        assert info.unit == "patient" and patients <= info.public_size <= patients + 9
        study = Study.submit(federation, small_plan(federation, study="chests"), tmp_path / "study")
        request = study.requests["hannover"].request_id
        assert hospital.admin_json("show", request)["plan"]["privacy"]["unit"] == "patient"
        hospital.admin("approve", request)
        hold_out = load_hold_out(chests / "test.npz", class_names=info.class_names, image_shape=info.image_shape)
        _, history = study.run(hold_out=hold_out, initial_weights=initial_weights(study.plan.model, 0), min_clients=1)
        spent = study.privacy(history)["hannover"]
        assert spent is not None and spent.unit == "patient"
        study.receipts(tmp_path)
        key = federation.hospitals["hannover"].public_key
        assert verify((tmp_path / "hannover.receipt.json").read_text(), key).unit == "patient"


def _one_site(file: Path, folder: Path) -> Path:
    """The file's rows under the hospital's name as their site."""
    arrays = dict(np.load(file))
    arrays["sites"] = np.repeat("hannover", len(arrays["labels"]))
    np.savez(folder / "chests.npz", **arrays)
    return folder / "chests.npz"
