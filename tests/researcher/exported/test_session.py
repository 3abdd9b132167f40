"""An exported model is opened, asked, and refused where its file is not what it says."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.exported_models import ABOUT, SIDE, graph, grey_pictures, write_model

from policies.errors import ModelRefused
from policies.plans.picture_form import PictureForm
from researcher.exported.session import ModelSession
from researcher.exports.onnx_file import with_about

PROJECT = Path(__file__).resolve().parents[3]


def test_neither_torch_nor_pysyft_is_imported_to_run_a_model() -> None:
    program = (
        "import sys, researcher.exported.session; "
        "print(sorted({'syft', 'torch', 'timm', 'opacus', 'onnx', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("count", [1, 2, 7, 70])
def test_each_picture_gets_the_probabilities_of_its_own_grey(tmp_path: Path, count: int) -> None:
    session = ModelSession.open(write_model(tmp_path / "model.onnx"))
    greys = np.linspace(0, 255, count).astype(int)
    found = session.probabilities(grey_pictures(*greys))
    logits = np.stack([-8 * (greys - 127.5) / 255, 8 * (greys - 127.5) / 255], axis=1)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == np.float32
    assert session.about == ABOUT


def test_no_picture_gives_no_row(tmp_path: Path) -> None:
    assert ModelSession.open(write_model(tmp_path / "model.onnx")).probabilities(grey_pictures()).shape == (0, 2)


def test_a_model_of_16_bits_takes_these_and_no_others(tmp_path: Path) -> None:
    form = PictureForm((SIDE, SIDE), 1, store_bits=16)
    session = ModelSession.open(write_model(tmp_path / "model.onnx", form=form))
    assert session.probabilities(grey_pictures(200).astype(np.uint16)).shape == (1, 2)
    with pytest.raises(ModelRefused, match="takes uint16"):
        session.probabilities(grey_pictures(200))


@pytest.mark.parametrize(
    "pictures",
    [grey_pictures(1).astype(np.float32), grey_pictures(1, side=8), grey_pictures(1)[0], np.zeros((1, SIDE, SIDE, 3))],
    ids=["float", "smaller", "no batch", "colour"],
)
def test_other_pictures_than_the_model_takes_are_refused(tmp_path: Path, pictures: np.ndarray) -> None:
    session = ModelSession.open(write_model(tmp_path / "model.onnx"))
    with pytest.raises(ModelRefused, match="takes uint8 pictures of shape"):
        session.probabilities(pictures)


def test_tokens_are_refused_by_a_model_of_pictures_alone(tmp_path: Path) -> None:
    session = ModelSession.open(write_model(tmp_path / "model.onnx"))
    with pytest.raises(ModelRefused, match="pictures alone"):
        session.probabilities(grey_pictures(1), np.zeros((1, 4), dtype=np.int64))


@pytest.mark.parametrize(
    "changes",
    [
        {"image_shape": (8, 8, 1), "form": None},
        {"class_names": ("one", "two", "three")},
        {"name": "image_text", "options": {"text_length": 4, "tokeniser": "hashed_words_1", "vocabulary": 9}},
        {"form": PictureForm((SIDE, SIDE), 1, store_bits=16)},
    ],
    ids=["size", "classes", "reports", "bits"],
)
def test_a_file_that_says_something_else_than_its_graph_is_refused(changes: dict[str, object]) -> None:
    model = graph(ABOUT)
    onnx.helper.set_model_props(model, replace(ABOUT, **changes).to_properties())  # type: ignore[arg-type]
    with pytest.raises(ModelRefused, match="something else than the file says"):
        ModelSession(model.SerializeToString())


def test_a_graph_of_one_batch_size_is_refused() -> None:
    model = graph(ABOUT)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(ModelRefused, match="something else than the file says"):
        ModelSession(model.SerializeToString())


def test_a_model_that_gives_no_numbers_is_refused_when_it_is_asked() -> None:
    model = graph(ABOUT)
    weights = next(one for one in model.graph.initializer if one.name == "weights")
    weights.CopyFrom(onnx.numpy_helper.from_array(np.full((1, 2), np.nan, dtype=np.float32), "weights"))
    with pytest.raises(ModelRefused, match="no numbers"):
        ModelSession(model.SerializeToString()).probabilities(grey_pictures(1))


def test_a_file_that_is_cut_empty_foreign_or_not_there_is_refused_by_its_name(tmp_path: Path) -> None:
    whole = write_model(tmp_path / "model.onnx").read_bytes()
    bare = graph(ABOUT)
    del bare.metadata_props[:]
    for number, content in enumerate((b"", b"no model", whole[: len(whole) // 2], bare.SerializeToString())):
        file = tmp_path / f"{number}.onnx"
        file.write_bytes(content)
        with pytest.raises(ModelRefused, match=file.name):
            ModelSession.open(file)
    with pytest.raises(ModelRefused, match="cannot be read"):
        ModelSession.open(tmp_path / "none.onnx")


def test_a_byte_that_changed_on_a_disk_is_told(tmp_path: Path) -> None:
    content = with_about(graph(ABOUT), ABOUT)
    whole = ModelSession(content)
    assert whole.about == ABOUT
    assert np.isfinite(whole.probabilities(grey_pictures(0, 255))).all()
    for at in [*range(0, len(content) - 8, 7), *range(len(content) - 5, len(content))]:
        with pytest.raises(ModelRefused):
            ModelSession(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])


def test_what_stands_behind_the_seal_is_told_and_a_file_without_one_is_taken(tmp_path: Path) -> None:
    content = with_about(graph(ABOUT), ABOUT)
    anew = onnx.load_from_string(content)
    assert content.endswith(b"\x32\x06" + anew.doc_string.encode())
    assert ModelSession(with_about(anew, ABOUT)).about == ABOUT  # which takes the old seal out
    version = b"\x28\x01"  # of the model, as protobuf writes it
    with pytest.raises(ModelRefused, match="not those that were exported"):
        ModelSession(content + version)
    assert ModelSession(graph(ABOUT).SerializeToString() + version).about == ABOUT


def test_a_description_that_is_no_text_is_refused() -> None:
    """As of a file of an earlier release, which has no seal."""
    content = graph(ABOUT).SerializeToString()
    at = content.index(b"wanwu.promise") + 40
    with pytest.raises(ModelRefused, match="no whole ONNX model"):
        ModelSession(content[:at] + b"\xe4" + content[at + 1 :])
