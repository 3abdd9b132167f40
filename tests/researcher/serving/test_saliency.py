"""Where a picture matters to its class, by covering its parts."""

from __future__ import annotations

import base64
import io

import httpx
import numpy as np
import pytest
from PIL import Image
from support.served_models import SIDE, ServedModel, as_file
from support.waiting import CEILING_SECONDS

from researcher.serving.saliency import PARTS, covered


def test_each_part_is_covered_once_and_nothing_else() -> None:
    picture = np.arange(17 * 16 * 3, dtype=np.uint16).reshape(17, 16, 3)
    changed = np.zeros((17, 16), dtype=int)
    for one in covered(picture):
        changed += (one != picture).any(axis=2)
    assert changed.min() == changed.max() == 1
    assert len(list(covered(picture))) == PARTS**2


def test_the_part_that_makes_the_class_is_found(server: ServedModel) -> None:
    picture = np.full((SIDE, SIDE, 3), 60, dtype=np.uint8)
    side = SIDE // PARTS
    picture[2 * side : 3 * side, 5 * side : 6 * side] = (255, 0, 0)
    answer = httpx.post(
        f"{server.url}/v1/saliency", content=as_file(picture), params={"class": "red"}, timeout=CEILING_SECONDS
    ).json()
    drops = np.asarray(answer["drops"])
    assert drops.shape == (PARTS, PARTS)
    assert np.unravel_index(drops.argmax(), drops.shape) == (2, 5)
    assert "Occlusion" in answer["means"]
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["seen"]))))
    assert (seen == picture).all()


def test_a_drop_is_the_difference_of_two_answers_of_the_model(server: ServedModel) -> None:
    picture = np.random.default_rng(2).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    answer = httpx.post(f"{server.url}/v1/saliency", content=as_file(picture), timeout=CEILING_SECONDS).json()
    session = server.classifier.session
    of = session.about.class_names.index(answer["name"])
    whole = session.probabilities(picture[None])[0]
    first = session.probabilities(next(covered(picture))[None])[0]
    assert of == whole.argmax()
    assert answer["drops"][0][0] == pytest.approx(float(whole[of] - first[of]), abs=1e-6)
