"""A served model's answers: the model's own probabilities, by the decoder and form that hospitals' pictures have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from support.dicom_files import made, written
from support.served_models import SIDE, ServedModel, as_file, colour_model, names, one_colour, served
from support.waiting import CEILING_SECONDS

from datasites.picture_files.decode import decode
from policies.plans.picture_form import PictureForm
from researcher.exported.session import ModelSession

RED, GREEN = one_colour(255, 0, 0), one_colour(0, 255, 0)
# Softmax of (10, 0, 0): 1 / (1 + 2 exp(-10)).
CERTAIN = 0.9999092


def _post(server: ServedModel, content: bytes, **how: object) -> httpx.Response:
    asked: Any = {"content": content, "headers": {"content-type": "image/png"}, "timeout": CEILING_SECONDS, **how}
    return httpx.post(f"{server.url}/v1/classify", **asked)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_a_picture_as_the_body_gets_its_classes_most_probable_first(server: ServedModel, kind: str) -> None:
    how = {"lossless": True} if kind == "WEBP" else {}
    answer = _post(server, as_file(RED, kind, **how)).json()
    classes = answer["pictures"][0]["classes"]
    assert answer["label_kind"] == "single"
    assert classes[0]["name"] == "red"
    assert classes[0]["probability"] == pytest.approx(CERTAIN, abs=1e-6)
    assert names(classes) == ["red", "green", "blue"]


def test_several_pictures_of_a_form_are_answered_in_their_order(server: ServedModel) -> None:
    files = [("pictures", (f"{place}.png", as_file(one))) for place, one in enumerate((GREEN, RED, GREEN))]
    found = httpx.post(f"{server.url}/v1/classify", files=files, timeout=CEILING_SECONDS).json()["pictures"]
    assert [one["classes"][0]["name"] for one in found] == ["green", "red", "green"]


def test_a_jpeg_that_is_turned_is_seen_upright_as_at_a_hospital(tmp_path: Path, server: ServedModel) -> None:
    turned = np.zeros((SIDE, 2 * SIDE, 3), dtype=np.uint8)
    turned[:, :SIDE, 0] = 255
    import PIL.Image

    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / "turned.jpg"
    file.write_bytes(as_file(turned, "JPEG", exif=exif))
    wanted = server.classifier.session.probabilities(decode(file, server.classifier.form)[None])[0]
    found = _post(server, file.read_bytes()).json()["pictures"][0]["classes"]
    assert found[0]["probability"] == pytest.approx(float(wanted.max()), abs=1e-6)


def test_a_dicom_file_is_shown_by_the_rule_of_hospitals(tmp_path: Path) -> None:
    values = np.linspace(0, 255, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint8)
    file = written(made(values), tmp_path / "one.dcm")
    model = colour_model(tmp_path, form=PictureForm((SIDE, SIDE), 1, window="full"))
    with served(model) as server:
        found = _post(server, file.read_bytes()).json()["pictures"][0]["classes"]
    seen = decode(file, server.classifier.form)
    wanted = ModelSession.open(model).probabilities(seen[None])[0]
    assert {one["name"]: one["probability"] for one in found} == pytest.approx(
        dict(zip(("dark", "light"), map(float, wanted), strict=True)), abs=1e-6
    )


def test_findings_have_probabilities_of_their_own(tmp_path: Path) -> None:
    with served(colour_model(tmp_path, "multi")) as server:
        answer = _post(server, as_file(one_colour(255, 255, 0))).json()
    found = {one["name"]: one["probability"] for one in answer["pictures"][0]["classes"]}
    assert answer["label_kind"] == "multi"
    assert found == pytest.approx({"red": 1 / (1 + np.exp(-10)), "green": 1 / (1 + np.exp(-10)), "blue": 0.5}, abs=1e-6)


def test_pictures_of_16_bits_reach_a_model_that_keeps_them(tmp_path: Path) -> None:
    grey = np.full((SIDE, SIDE), 40_000, dtype=np.uint16)
    with served(colour_model(tmp_path, form=PictureForm((SIDE, SIDE), 1, store_bits=16))) as server:
        found = _post(server, as_file(grey)).json()["pictures"][0]["classes"]
    mean = 40_000 / 65_535
    light = 1 / (1 + np.exp(10 * (1 - 2 * mean)))
    assert {one["name"]: one["probability"] for one in found}["light"] == pytest.approx(light, abs=1e-5)


def test_a_frame_of_a_file_that_holds_several_is_chosen_by_its_number(server: ServedModel) -> None:
    import PIL.Image

    file = as_file(RED, "TIFF", save_all=True, append_images=[PIL.Image.fromarray(GREEN)])
    found = _post(server, file, params={"frame": 1}).json()["pictures"][0]["classes"]
    assert found[0]["name"] == "green"


def test_what_the_model_says_of_itself_is_answered(server: ServedModel) -> None:
    facts = httpx.get(f"{server.url}/v1/model", timeout=CEILING_SECONDS).json()
    assert facts["class_names"] == ["red", "green", "blue"]
    assert facts["model"] == "ab" * 32
    assert "Not a medical device" in facts["use"]
    assert facts["unlike_training"] is None
