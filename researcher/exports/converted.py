"""Models in forms that another environment converts them to, LiteRT, Core ML, ExecuTorch: one picture at once."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from policies.errors import ExportRefused
from researcher import atomic_file
from researcher.exported.about import ExportedModel
from researcher.exported.session import PICTURES, PROBABILITIES, TOKENS
from researcher.exports.converters import CONVERTERS
from researcher.exports.export import ExportedFile, check_likeness, written
from researcher.exports.global_model import GlobalModel
from researcher.exports.likeness import likeness, trained_probabilities
from researcher.exports.pictures import Pictures, drawn
from researcher.exports.whole_model import WholeModel

COMPARED = 64
MOST_OF_A_CONSTANT = 1e-6
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def export_converted(model: GlobalModel, out: Path, name: str, pictures: Pictures | None = None) -> ExportedFile:
    """Writes a global model in a form that its converter makes in an environment of its own.

    Guarantees:
        A LiteRT or ExecuTorch file whose probabilities, by its own interpreter, differ from the torch model's by over
        1e-4 is not written. Of a Core ML package only what Linux can look at is held against the model: inputs, outputs
        and weights; no picture was run through it.

    Args:
        model: It.
        out: The file; of Core ML the package as a zip file.
        name: Of the converter, as `CONVERTERS` has it.
        pictures: Public ones, on which it is compared; drawn ones if None.

    Raises:
        ConverterMissing: The converter was not set up.
        ExportRefused: It cannot take the model, or what it made is not what the model is.
        ConfigError: The file cannot be written.
    """
    spec, converter = model.checkpoint.model, CONVERTERS[name]
    pictures = (pictures or drawn(spec, model.bits, COMPARED)).first(COMPARED)
    about = model.about(name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _prepare(model, about, pictures, folder)
        result = converter.run(folder)
        if converter.is_run:
            about, time = _compared(model, about, pictures, folder)
            content = result.read_bytes()
        else:
            _check_package(about, folder)
            time = None
            content = _zipped(result)
    float_bytes = sum(value.nbytes for value in model.checkpoint.weights.values())
    made = replace(written(out, content, about, size_ratio=len(content) / float_bytes), milliseconds=time)
    atomic_file.write(out.with_name(f"{out.name}.json"), json.dumps(about.to_properties(), indent=1) + "\n")
    return made


def _prepare(model: GlobalModel, about: ExportedModel, pictures: Pictures, folder: Path) -> None:
    """Writes what a converter reads. Numbers are of 32 bits: Core ML's converter knows none of 8."""
    one = model.checkpoint
    inputs: dict[str, NDArray[Any]] = {PICTURES: pictures.images.astype(np.int32)}
    if pictures.tokens is not None:
        inputs[TOKENS] = pictures.tokens
    whole = WholeModel(one.model, one.weights, bits=model.bits, backbone=model.backbone)
    program = torch.export.export(whole, tuple(torch.from_numpy(value[:1]) for value in inputs.values()))
    torch.export.save(program, folder / "program.pt2")
    np.savez(folder / "inputs.npz", **inputs)
    (folder / "about.json").write_text(json.dumps(about.to_properties()))


def _compared(
    model: GlobalModel, about: ExportedModel, pictures: Pictures, folder: Path
) -> tuple[ExportedModel, float]:
    """What the file says of itself, held against the torch model, and its processor time for a picture."""
    trained = trained_probabilities(model.checkpoint.model, model.checkpoint.weights, pictures, model.backbone)
    with np.load(folder / "outputs.npz", allow_pickle=False) as held:
        found, time = held[PROBABILITIES], float(held["milliseconds"])
    told = likeness(found, trained, pictures, about.label_kind)
    check_likeness(told)
    return replace(about, likeness=told), time


def _check_package(about: ExportedModel, folder: Path) -> None:
    found = json.loads((folder / "checked.json").read_text())
    wanted = {PICTURES: [1, *about.image_shape]}
    if (form := about.text_form) is not None:
        wanted[TOKENS] = [1, form.length]
    edges = {name: shape for name, shape in found["edges"].items() if name != PROBABILITIES}
    if edges != wanted or PROBABILITIES not in found["edges"] or not found["farthest"] <= MOST_OF_A_CONSTANT:
        raise ExportRefused(
            "The Core ML package has other inputs, outputs or weights than the model. Nothing was written."
        )


def _zipped(package: Path) -> bytes:
    """The package's files in a zip file, the same bytes for the same files."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(package.rglob("*")):
            if file.is_file():
                archive.writestr(zipfile.ZipInfo(str(file.relative_to(package.parent)), _EARLIEST), file.read_bytes())
    return into.getvalue()
