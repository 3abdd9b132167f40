"""Every model of the catalogue as an ONNX graph: the same probabilities, for any number of pictures at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support.global_models import OPTIONS, save_global_model, small_model
from support.public_weights import write_backbone

from datasites.training.models import MODELS
from datasites.training.models.resizing import Resizing
from datasites.training.models.scattering_linear import ScatteringFeatures
from policies.errors import ExportRefused
from policies.plans.model_spec import ModelSpec
from policies.plans.picture_form import PictureForm
from researcher.exported.session import ModelSession
from researcher.exports.export import ExportedFile, export_onnx
from researcher.exports.global_model import GlobalModel
from researcher.exports.pictures import Pictures, drawn

# Each takes 5 seconds and more to be exported; what is its own is tried apart where a test for that is quick.
SLOW = ("efficientnet_lite0", "image_text", "mobilenet_v3_large", "mobilenet_v3_small", "resnet50", "scattering_linear")
FEW = 40


def _exported(folder: Path, spec: ModelSpec, form: PictureForm | None = None) -> ExportedFile:
    model = GlobalModel.load(save_global_model(folder, spec, form=form))
    pictures = drawn(spec, model.bits, FEW)
    return export_onnx(model, folder / "model.onnx", int8=False, pictures=pictures)


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportedFile]:
    """The folder and the export of a linear model, which tests read."""
    folder = tmp_path_factory.mktemp("linear")
    return folder, _exported(folder, small_model("linear"))


def test_a_linear_model_says_the_same_of_pictures_after_its_export(linear: tuple[Path, ExportedFile]) -> None:
    _says_the_same(linear[1])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in OPTIONS if name != "linear"]
)
def test_a_model_says_the_same_of_pictures_after_its_export(tmp_path: Path, name: str) -> None:
    _says_the_same(_exported(tmp_path, small_model(name)))


def _says_the_same(exported: ExportedFile) -> None:
    told = exported.about.likeness
    assert told is not None
    assert told.max_abs_difference < 1e-4
    assert (told.agreement, told.pictures) == (1.0, FEW)
    nodes = onnx.load(exported.file).graph.node  # shapes are written down, and pooling is one node
    found_out = {node.output[0] for node in nodes if node.op_type == "Shape"}
    assert not any(node.op_type == "Range" or found_out & {*node.input[1:2]} for node in nodes)


def test_every_model_of_the_catalogue_is_tried() -> None:
    assert {*OPTIONS, "features"} == set(MODELS)


def test_a_head_on_features_takes_its_backbone_along(tmp_path: Path) -> None:
    weights, features = write_backbone(tmp_path)
    spec = ModelSpec("features", (20, 28, 1), 3, features.options)
    file = save_global_model(tmp_path, spec)
    model = GlobalModel.load(file, backbone_weights=str(weights))
    told = export_onnx(model, tmp_path / "model.onnx", int8=False, pictures=drawn(spec, 8, FEW)).about.likeness
    assert told is not None
    assert told.max_abs_difference < 1e-4
    with pytest.raises(ExportRefused, match="--backbone_weights"):
        export_onnx(GlobalModel.load(file), tmp_path / "other.onnx", int8=False)


def test_findings_of_grey_pictures_of_16_bits_are_told_alike(tmp_path: Path) -> None:
    form = PictureForm((20, 24), 1, store_bits=16)
    spec = ModelSpec("linear", (20, 24, 1), 3, {}, "multi")
    file = _exported(tmp_path, spec, form).file
    session = ModelSession.open(file)
    assert session.about.bits == 16
    found = session.probabilities(drawn(spec, 16, 3).images)
    assert found.shape == (3, 3)
    assert not np.allclose(found.sum(axis=1), 1)


def test_nothing_of_this_machine_stays_in_a_file(linear: tuple[Path, ExportedFile]) -> None:
    folder, exported = linear
    content = exported.file.read_bytes()
    model = onnx.load_from_string(content)
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert not any(word in content for word in (b"forward", b".py", b"/home", b"torch", str(folder).encode()))
    assert [one.version for one in model.opset_import if one.domain == ""] == [20]


def test_a_difference_of_more_than_a_ten_thousandth_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("researcher.exports.whole_model.PIXEL_UNIT", 63.0)
    with pytest.raises(ExportRefused, match="is allowed"):
        _exported(tmp_path, small_model("linear"))
    assert not (tmp_path / "model.onnx").exists()


def test_scattering_in_real_numbers_is_scattering() -> None:
    features = ScatteringFeatures(24)
    pictures = torch.rand(3, 3, 30, 36) * 4 - 2
    torch.testing.assert_close(features.in_real_numbers((30, 36, 3))(pictures), features(pictures), atol=1e-4, rtol=0)


@pytest.mark.parametrize("after", [(8, 40), (28, 20)], ids=["smaller and larger", "as they are"])
def test_resizing_by_matrices_is_torchs(after: tuple[int, int]) -> None:
    pictures = torch.rand(2, 3, 28, 20)
    wanted = torch.nn.functional.interpolate(pictures, size=after, mode="bilinear", antialias=True)
    torch.testing.assert_close(Resizing((28, 20), after)(pictures), wanted)


def test_drawn_pictures_are_the_same_each_time_and_reach_black_and_white() -> None:
    spec = small_model("image_text")
    once, again = drawn(spec, 8, 20), drawn(spec, 8, 20)
    assert isinstance(once, Pictures)
    assert once.tokens is not None
    np.testing.assert_array_equal(once.images, again.images)
    assert (once.images[0].max(), once.images[1].min()) == (0, 255)
    assert once.tokens[0].max() == 0 < once.tokens.max()
