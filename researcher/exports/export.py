"""An export: a global model becomes a file for other programs, if its probabilities stay what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from policies.errors import ExportRefused
from researcher import atomic_file
from researcher.exported.about import ExportedModel, Likeness
from researcher.exported.session import ModelSession
from researcher.exports.global_model import GlobalModel
from researcher.exports.int8_search import MOST_SIZE, Int8, Search
from researcher.exports.latency import milliseconds
from researcher.exports.likeness import BATCHES, MOST_DIFFERENCE, likeness, trained_probabilities
from researcher.exports.onnx_file import with_about
from researcher.exports.onnx_graph import to_graph
from researcher.exports.pictures import Pictures, drawn
from researcher.exports.whole_model import WholeModel


@dataclass(frozen=True)
class ExportedFile:
    """A file that an export wrote.

    Attributes:
        file: It.
        about: What it says of itself.
        sha256: Of its bytes.
        size: Bytes.
        size_ratio: Of the float ONNX file's bytes; of what a converter wrote, of the weights' bytes.
        milliseconds: Of this processor for one picture, where its runtime is here: onnxruntime's with one thread.
        milliseconds_float: Of the float ONNX file's, likewise.
    """

    file: Path
    about: ExportedModel
    sha256: str
    size: int
    size_ratio: float
    milliseconds: float | None = None
    milliseconds_float: float | None = None

    def told(self) -> Iterator[str]:
        """What was written and how like the torch model it is, in sentences."""
        told = self.about.likeness
        yield f"Written: {self.file}, {self.size:,} bytes, SHA-256 {self.sha256}"
        if told is not None:
            yield (
                f"Held against the torch model on {told.pictures} {told.compared_on}: probabilities differ by at most "
                f"{told.max_abs_difference:.2g}, {100 * told.agreement:.1f} % decided alike."
            )
            if told.accuracy is not None and told.accuracy_float is not None:
                yield f"Accuracy {100 * told.accuracy:.1f} %, the torch model's {100 * told.accuracy_float:.1f} %."
        if self.milliseconds is not None and self.about.format == "onnx":
            yield f"{self.milliseconds:.2f} ms of one core for a picture."
        elif self.milliseconds is not None and self.milliseconds_float is not None:
            yield (
                f"{self.milliseconds:.2f} ms of one core for a picture, the float ONNX file "
                f"{self.milliseconds_float:.2f} ms; {self.size_ratio:.2f} of its size."
            )
        elif self.milliseconds is not None:
            yield f"{self.milliseconds:.2f} ms of the processor for a picture, by its own runtime."
        if self.about.format == "coreml":
            yield (
                "No picture was run through it: nothing on Linux runs Core ML. Its inputs, its outputs and the weights "
                "of its layers are the model's; norms, preprocessing and probabilities were not compared."
            )
        yield from self._of_int8()
        yield self.about.promise

    def _of_int8(self) -> Iterator[str]:
        made = self.about.quantisation
        if made is None:
            return
        yield f"Calibrated on {made.pictures} {made.calibrated_on}; {_layers(made.quantised)} in 8 bits."
        if made.left_in_float:
            yield (
                f"{_layers(len(made.left_in_float))} in float: {', '.join(made.left_in_float)}. With all in 8 bits the "
                f"model would lose {100 * made.cost_of_all:.1f} points."
            )
        if self.size_ratio > MOST_SIZE:
            yield (
                f"It is larger than {MOST_SIZE} of the float file: of a model this small what 8 bits do not shrink "
                "weighs much: scales, biases, norms, the graph and what the file says of itself."
            )
        if self.milliseconds is not None and self.milliseconds >= (self.milliseconds_float or 0):
            yield "It is not faster than the float file on this processor. Use that one here."


def _layers(number: int) -> str:
    return "1 layer computes" if number == 1 else f"{number} layers compute"


def export_onnx(
    model: GlobalModel, out: Path, *, int8: bool, pictures: Pictures | None = None, calibration: Pictures | None = None
) -> ExportedFile:
    """Writes a global model as an ONNX file.

    Guarantees:
        A float file whose probabilities differ from the torch model's by more than 1e-4 on any of the pictures, in any
        of the tried numbers at once, is not written; nor one in 8 bits that loses more than a point on them.

    Args:
        model: It.
        out: The file.
        int8: Whether products are of whole numbers of 8 bits.
        pictures: Public ones, on which it is compared; drawn ones if None.
        calibration: Public ones, whose ranges become those of the activations in 8 bits; drawn ones if None.

    Raises:
        ExportRefused: The file would not be what the model is.
        ConfigError: It cannot be written.
    """
    spec = model.checkpoint.model
    pictures = pictures or drawn(spec, model.bits)
    graph = whole_graph(model)
    trained = trained_probabilities(spec, model.checkpoint.weights, pictures, model.backbone)
    about, session, content = _compared(graph, model.about("onnx"), trained, pictures)
    if int8:
        found = Search(graph, about, trained, pictures, calibration or drawn(spec, model.bits)).best()
        return _written(out, found)
    time = milliseconds([session], pictures)[0]
    return written(out, content, about, size_ratio=1.0, times=(time, time))


def whole_graph(model: GlobalModel) -> onnx.ModelProto:
    """The model's graph in float, with all that comes before and after it."""
    one = model.checkpoint
    whole = WholeModel(one.model, one.weights, bits=model.bits, backbone=model.backbone)
    return to_graph(whole, one.model, model.bits)


def _compared(
    graph: onnx.ModelProto, about: ExportedModel, trained: NDArray[np.float32], pictures: Pictures
) -> tuple[ExportedModel, ModelSession, bytes]:
    session = ModelSession(with_about(graph, about))
    told = likeness(session.probabilities(pictures.images, pictures.tokens), trained, pictures, about.label_kind)
    worst = told.max_abs_difference
    for count in BATCHES:
        few = pictures.first(count)
        worst = max(worst, float(np.abs(session.probabilities(few.images, few.tokens) - trained[:count]).max()))
    told = replace(told, max_abs_difference=worst)
    check_likeness(told)
    about = replace(about, likeness=told)
    content = with_about(graph, about)
    return about, ModelSession(content), content


def check_likeness(told: Likeness, most: float = MOST_DIFFERENCE) -> None:
    """Refuses a file that says something else of pictures than the model that was trained.

    Raises:
        ExportRefused: Some probability differs by more than `most`.
    """
    if not told.max_abs_difference <= most:
        raise ExportRefused(
            f"The exported model's probabilities differ from the trained one's by {told.max_abs_difference:.2g} on "
            f"{told.compared_on}, at most {most:g} is allowed. Nothing was written; tell us which model it was."
        )


def _written(out: Path, found: Int8) -> ExportedFile:
    times = (found.milliseconds, found.milliseconds_float)
    return written(out, found.content, found.about, size_ratio=found.size_ratio, times=times)


def written(
    out: Path, content: bytes, about: ExportedModel, *, size_ratio: float, times: tuple[float, float] | None = None
) -> ExportedFile:
    """Writes a file's bytes, and says what was written.

    Raises:
        ConfigError: It cannot be written.
    """
    atomic_file.write(out, content)
    digest = hashlib.sha256(content).hexdigest()
    return ExportedFile(out, about, digest, len(content), size_ratio, *(times or (None, None)))
