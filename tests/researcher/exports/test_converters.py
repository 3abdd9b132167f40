"""Converters in environments of their own: what crosses to them, and how one that is missing or fails is told."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.global_models import save_global_model, small_model
from support.graphs import attention_of, comparing, ordering
from support.public_weights import write_backbone
from torch import nn

from policies.errors import ConverterMissing, ExportRefused
from policies.graphs.graph import Graph
from policies.graphs.own_model import spec_of
from policies.plans.model_spec import ModelSpec
from researcher.captures.capture import capture
from researcher.exported.about import ExportedModel
from researcher.exports import converters
from researcher.exports.converted import export_converted
from researcher.exports.converters import CONVERTERS, PLACE, Converter
from researcher.exports.global_model import GlobalModel

COPIES = """
import sys, pathlib, numpy as np
folder = pathlib.Path(sys.argv[-1])
assert sorted(one.name for one in folder.iterdir()) == ["about.json", "inputs.npz", "program.pt2"]
held = np.load(folder / "inputs.npz")
assert held.files == ["pictures"]
given = held["pictures"]
assert given.dtype == np.int32
"""


def _set_up(converter: Converter, program: str) -> None:
    """An environment whose python runs `program`, whatever it is called with."""
    python = converter.environment / "bin" / "python"
    python.parent.mkdir(parents=True)
    (python.parent / "program.py").write_text(program)
    python.write_text(f'#!/bin/sh\nexec {os.environ["REAL_PYTHON"]} {python.parent}/program.py "$@"\n')
    python.chmod(0o700)
    (converter.environment / ".installed").touch()


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GlobalModel:
    """A small model, on a machine without a converter."""
    import sys

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("REAL_PYTHON", sys.executable)
    return GlobalModel.load(save_global_model(tmp_path, small_model("linear")))


@pytest.mark.parametrize("name", CONVERTERS)
def test_a_missing_converter_is_told_with_the_one_command_that_sets_it_up(
    model: GlobalModel, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConverterMissing, match=f"--format {name} --set_up"):
        export_converted(model, tmp_path / "out", name)


@pytest.mark.parametrize("name", CONVERTERS)
def test_a_closure_pins_every_package_by_the_digests_of_its_files_and_names_no_host(name: str) -> None:
    text = (PLACE / f"{name}.txt").read_text()
    packages = re.sub(r" \\\n +", " ", text).splitlines()
    pin = re.compile(r"[a-z0-9._-]+==[^\s/]+( ; [^#\\]+?)?( --hash=sha256:[0-9a-f]{64})+")
    assert packages and [line for line in packages if not pin.fullmatch(line)] == []


@pytest.mark.parametrize("given", ["wheel", "another file's digest", "source"])
def test_only_a_wheel_of_the_closures_digest_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    file = _empty_source(tmp_path) if given == "source" else _empty_wheel(tmp_path)
    digest = "0" * 64 if "another" in given else hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "litert.txt").write_text(f"nothing==1.0 --hash=sha256:{digest}\n")
    monkeypatch.setattr(converters, "PLACE", tmp_path)
    for name, value in {"XDG_CACHE_HOME": tmp_path / "cache", "UV_NO_INDEX": 1, "UV_FIND_LINKS": tmp_path}.items():
        monkeypatch.setenv(name, str(value))
    with nullcontext() if given == "wheel" else pytest.raises(ConverterMissing, match="could not set up litert"):
        CONVERTERS["litert"].set_up()
    assert CONVERTERS["litert"].is_set_up == (given == "wheel")


def _empty_source(folder: Path) -> Path:
    source = folder / "nothing-1.0.tar.gz"
    with tarfile.open(source, "w:gz") as file:
        for name, text in {"PKG-INFO": "Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\n", "setup.py": ""}.items():
            member = tarfile.TarInfo(f"nothing-1.0/{name}")
            member.size = len(text)
            file.addfile(member, io.BytesIO(text.encode()))
    return source


def _empty_wheel(folder: Path) -> Path:
    wheel, about = folder / "nothing-1.0-py3-none-any.whl", "nothing-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", f"{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return wheel


@pytest.mark.parametrize("name", ["litert", "executorch"])
def test_a_converted_file_that_says_something_else_is_not_written(
    model: GlobalModel, tmp_path: Path, name: str
) -> None:
    wrong = f"""
(folder / "{CONVERTERS[name].result}").write_bytes(b"file")
np.savez(folder / "outputs.npz", probabilities=np.full((len(given), 4), 0.25, dtype=np.float32), milliseconds=1)
"""
    _set_up(CONVERTERS[name], COPIES + wrong)
    with pytest.raises(ExportRefused, match="differ from the trained"):
        export_converted(model, tmp_path / "out", name)
    assert not (tmp_path / "out").exists()


def test_a_converter_whose_process_is_ended_is_told_by_the_signal(model: GlobalModel, tmp_path: Path) -> None:
    ends = "import os\nos.write(2, b'a warning\\n')\nos.abort()\n"
    _set_up(CONVERTERS["executorch"], COPIES + ends)
    with pytest.raises(ExportRefused, match=r"was ended by signal 6, after 'a warning'\.$"):
        export_converted(model, tmp_path / "out", "executorch")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("trained", ["small_cnn", "scattering_linear", "features"])
@pytest.mark.parametrize("name", CONVERTERS)
def test_a_converter_that_is_set_up_gives_a_file_that_says_what_the_model_says(
    tmp_path: Path, name: str, trained: str
) -> None:
    if not CONVERTERS[name].is_set_up:
        pytest.skip(f"not set up: python -m researcher export --format {name} --set_up")
    if (name, trained) == ("executorch", "scattering_linear"):
        pytest.skip("ExecuTorch does not take it")
    weights, reads = write_backbone(tmp_path) if trained == "features" else (None, None)
    spec = small_model(trained) if reads is None else ModelSpec("features", (32, 32, 3), 4, reads.options)
    model = GlobalModel.load(save_global_model(tmp_path, spec), backbone_weights=weights and str(weights))
    told = export_converted(model, tmp_path / "o", name)
    likeness = told.about.likeness
    assert (tmp_path / "o").stat().st_size == told.size > 1000
    assert likeness is None if name == "coreml" else likeness and likeness.max_abs_difference < 1e-4


class Patches(nn.Module):
    """A transposed convolution, a norm of patches, a recurrent layer over rows, the best positions, and a codebook."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.norm = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1), nn.GroupNorm(2, 4)
        self.rows, self.table, self.head = nn.GRU(16, 4, batch_first=True), nn.Embedding(5, 4), nn.Linear(8, 4)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        parts = self.norm(self.up(pictures).unflatten(2, (2, 8)).transpose(1, 2).flatten(0, 1))
        rows, _ = self.rows(parts.reshape(-1, 2, 4, 8, 16).mean(2).flatten(1, 2))
        best = rows.gather(1, rows.mean(2).topk(3, dim=1)[1][..., None].expand(-1, -1, 4))
        named = self.table((rows[:, :, None] - self.table.weight).square().sum(3).argmin(2)).mean(1)
        code = rows.mean(1)
        return self.head(torch.cat([best.amax(1), code + (named - code).detach() + 0.1 * named], dim=1))


def heads() -> Graph:
    return attention_of(2, 4)


def patches() -> Graph:
    torch.manual_seed(0)
    return capture(Patches(), image_shape=(8, 8, 3), num_classes=4).graph


@pytest.mark.slow
@pytest.mark.parametrize("make", [comparing, ordering, patches, heads])
@pytest.mark.parametrize("name", CONVERTERS)
def test_a_converter_gives_a_file_that_says_what_an_own_model_says(
    tmp_path: Path, name: str, make: Callable[[], Graph]
) -> None:
    if not CONVERTERS[name].is_set_up:
        pytest.skip(f"not set up: python -m researcher export --format {name} --set_up")
    model = GlobalModel.load(save_global_model(tmp_path, spec_of(make().to_json())))
    likeness = export_converted(model, tmp_path / "o", name).about.likeness
    assert likeness is None if name == "coreml" else likeness and likeness.max_abs_difference < 1e-4


def test_a_converter_that_fails_is_told_with_its_last_words(model: GlobalModel, tmp_path: Path) -> None:
    _set_up(CONVERTERS["litert"], "raise SystemExit('no such operation: erfinv')")
    with pytest.raises(ExportRefused, match="no such operation: erfinv"):
        export_converted(model, tmp_path / "model.tflite", "litert")


@pytest.mark.parametrize(("farthest", "is_written"), [(0.0, True), (0.5, False)])
def test_a_core_ml_package_is_held_against_the_models_shapes_and_weights(
    model: GlobalModel, tmp_path: Path, farthest: float, is_written: bool
) -> None:
    told = {"edges": {"pictures": [1, 28, 28, 3], "probabilities": [1, 4]}, "farthest": farthest}
    makes = f"""
(folder / "model.mlpackage").mkdir()
(folder / "model.mlpackage" / "Manifest.json").write_text("{{}}")
(folder / "checked.json").write_text({json.dumps(told)!r})
"""
    _set_up(CONVERTERS["coreml"], COPIES + makes)
    out = tmp_path / "model.mlpackage.zip"
    if not is_written:
        with pytest.raises(ExportRefused, match="other inputs, outputs or weights"):
            export_converted(model, out, "coreml")
        return
    written = export_converted(model, out, "coreml")
    assert "was run through it" in " ".join(written.told())
    beside = json.loads((tmp_path / "model.mlpackage.zip.json").read_text())
    assert ExportedModel.from_properties(beside) == replace(model.about("coreml"), likeness=None)
