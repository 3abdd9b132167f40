"""From trained weights to a clinic's answer: exported, served by a real process, asked over HTTP with PNG and DICOM."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.dicom_files import made, written
from support.served_models import as_file, serving
from support.waiting import CEILING_SECONDS

from datasites.assets.drawn import cells
from datasites.picture_files.decode import decode
from datasites.training.models import build_model
from policies.plans.model_spec import ModelSpec
from policies.plans.picture_form import PictureForm
from researcher.exported.session import ModelSession
from researcher.exports.export import export_onnx
from researcher.exports.global_model import GlobalModel
from researcher.exports.likeness import trained_probabilities
from researcher.exports.pictures import Pictures
from researcher.studies.checkpoints import Checkpoint, save_model
from researcher.studies.history import PrivacySpent

SPEC = ModelSpec("small_cnn", (32, 32, 3), len(cells.CLASS_NAMES), {"width": 4})
FORM = PictureForm((32, 32), 3, window="full")
FLOAT_TOLERANCE, INT8_TOLERANCE = 1e-4, 0.1


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that tells drawn blood cells apart somewhat, as a study leaves it."""
    torch.manual_seed(0)
    images, labels = cells.draw_hold_out(400, 3)
    model = build_model(SPEC)
    descent = torch.optim.Adam(model.parameters(), lr=0.01)
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    for _ in range(30):
        descent.zero_grad()
        torch.nn.functional.cross_entropy(model(pictures), torch.from_numpy(labels)).backward()
        descent.step()
    weights = {name: value.detach().numpy().copy() for name, value in model.named_parameters()}
    privacy = {"north": PrivacySpent(2.0, 1e-5, "patient")}
    saved = Checkpoint(weights, SPEC, 3, cells.CLASS_NAMES, "a" * 64, privacy, FORM)
    return save_model(tmp_path_factory.mktemp("study") / "global_model.safetensors", saved)


def _asked(url: str, content: bytes, kind: str) -> dict[str, float]:
    answer = httpx.post(
        f"{url}/v1/classify", content=content, headers={"content-type": kind}, timeout=CEILING_SECONDS
    ).raise_for_status()
    return {one["name"]: one["probability"] for one in answer.json()["pictures"][0]["classes"]}


def _by_torch(model: GlobalModel, picture: NDArray[np.generic]) -> dict[str, float]:
    pictures = Pictures(picture[None], None, None, "a test")
    found = trained_probabilities(SPEC, model.checkpoint.weights, pictures, None)[0]
    return dict(zip(cells.CLASS_NAMES, map(float, found), strict=True))


def _files(folder: Path) -> list[tuple[Path, str]]:
    """Pictures of cells as PNG, larger than the model's, and as a DICOM object with colours."""
    drawn, _ = cells.draw_hold_out(2, 9)
    png, dicom = folder / "cell.png", folder / "cell.dcm"
    png.write_bytes(as_file(np.kron(drawn[0], np.ones((3, 3, 1), dtype=np.uint8))))
    written(made(drawn[1]), dicom)
    return [(png, "image/png"), (dicom, "application/dicom")]


@pytest.mark.parametrize(
    ("int8", "most"),
    [pytest.param(False, FLOAT_TOLERANCE, marks=pytest.mark.slow), (True, INT8_TOLERANCE)],
    ids=["float", "int8"],
)
def test_a_served_model_answers_what_the_trained_one_says_of_png_and_dicom(
    trained: Path, tmp_path: Path, int8: bool, most: float
) -> None:
    model = GlobalModel.load(trained)
    file = export_onnx(model, tmp_path / "model.onnx", int8=int8).file
    session = ModelSession.open(file)
    with serving(file) as url:
        for path, kind in _files(tmp_path):
            picture = decode(path, FORM)
            found = _asked(url, path.read_bytes(), kind)
            assert found == pytest.approx(_by_torch(model, picture), abs=most)
            exported = session.probabilities(picture[None])[0]
            assert found == pytest.approx(dict(zip(cells.CLASS_NAMES, map(float, exported), strict=True)), abs=1e-6)
