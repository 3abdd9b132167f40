"""An order for an export: which form, on which public pictures it is held against the trained model, and where to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from policies.errors import ConfigError
from researcher.evaluation.hold_out import load_hold_out
from researcher.exports.converted import export_converted
from researcher.exports.converters import CONVERTERS
from researcher.exports.export import ExportedFile, export_onnx
from researcher.exports.global_model import GlobalModel
from researcher.exports.pictures import Pictures, of_hold_out

SUFFIXES = {
    "onnx": ".onnx",
    "onnx-int8": ".int8.onnx",
    "litert": ".tflite",
    "coreml": ".mlpackage.zip",
    "executorch": ".pte",
}


@dataclass(frozen=True)
class ExportOrder:
    """What a global model is exported as.

    Attributes:
        format: A name from `SUFFIXES`.
        out: The file; beside the model, with the format's suffix, if None.
        test: Public pictures with labels, in any form of a hold-out, on which it is compared; drawn ones if None.
        calibrate_on: Public pictures, likewise, whose ranges become those of a model in 8 bits.
        backbone_weights: Where a features model's public weights are.
        say: Told of pictures that could not be read.
    """

    format: str = "onnx"
    out: Path | None = None
    test: Path | None = None
    calibrate_on: Path | None = None
    backbone_weights: str | None = None
    say: Callable[[str], None] = lambda text: None

    def export(self, file: Path) -> ExportedFile:
        """Exports a saved global model.

        Args:
            file: `.safetensors`, with its sidecar.

        Raises:
            ConverterMissing: The format's converter was not set up.
            ExportRefused: The file would not be what the model is.
            ConfigError: A file is missing, malformed, or cannot be written.
            DataError: The public pictures cannot be read as ones for this model.
        """
        if self.format not in SUFFIXES:
            raise ConfigError(f"The format must be one of {', '.join(SUFFIXES)}, got {self.format!r}.")
        model = GlobalModel.load(file, backbone_weights=self.backbone_weights)
        out = self.out or file.with_suffix(SUFFIXES[self.format])
        if self.format in CONVERTERS:
            return export_converted(model, out, self.format, self._pictures(model, self.test))
        return export_onnx(
            model,
            out,
            int8=self.format == "onnx-int8",
            pictures=self._pictures(model, self.test),
            calibration=self._pictures(model, self.calibrate_on),
        )

    def _pictures(self, model: GlobalModel, source: Path | None) -> Pictures | None:
        if source is None:
            return None
        one = model.checkpoint
        found = load_hold_out(
            source,
            class_names=one.class_names,
            image_shape=one.model.image_shape,
            form=one.form,
            label_kind=one.model.label_kind,
        )
        for told in found.told():
            self.say(told)
        return of_hold_out(one.model, found, f"public pictures of {source.name}")
