"""Models opened to be judged: a study's safetensors file, or an exported ONNX file, float or int8. All are released."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from policies.errors import ConfigError, DataError
from policies.plans.model_spec import ModelSpec
from policies.plans.picture_form import PictureForm
from policies.plans.tokeniser import tokens
from researcher.evaluation.evaluation import inputs_of
from researcher.evaluation.hold_out import HoldOut
from researcher.judgement.judged_model import JudgedModel
from researcher.studies.checkpoints import load_model

SUFFIXES = (".safetensors", ".onnx")


@dataclass(frozen=True)
class OpenedModel:
    """A model that is ready to be asked.

    Attributes:
        about: Which it is.
        spec: What it takes and gives.
        form: How files become its pictures; None where the hospitals' pictures came as arrays.
        ask: Pictures → probabilities, real, (N, K).
    """

    about: JudgedModel
    spec: ModelSpec
    form: PictureForm | None
    ask: Callable[[HoldOut], np.ndarray]

    def probabilities(self, hold_out: HoldOut) -> np.ndarray:
        """Returns the probability of each class, or each finding, float64, (N, K).

        Raises:
            DataError: The pictures are not the model's, or it gives no numbers for some of them.
        """
        found = np.asarray(self.ask(hold_out), dtype=np.float64)
        broken = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if len(broken):
            first = hold_out.places[broken[0]] if hold_out.places else f"number {broken[0] + 1}"
            raise DataError(
                f"{self.about.file} gives no numbers (NaN or infinity) for {len(broken)} of {len(found)} pictures, "
                f"first for {first}: nothing can be said of it. Its training diverged, or the file is damaged."
            )
        return found


def open_model(path: Path | str, *, threads: int = 1) -> OpenedModel:
    """Opens a model by its file's suffix.

    Args:
        path: `.safetensors` with its sidecar, as `train` writes it, or `.onnx`, as `export` does.
        threads: That compute one call, of an ONNX file.

    Raises:
        ConfigError: It is not there, neither of these, or not as it was written.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"A model's file ends in {' or '.join(SUFFIXES)}, got {path}.")
    return _of_weights(path) if path.suffix == ".safetensors" else _of_onnx(path, threads)


def _of_weights(path: Path) -> OpenedModel:
    from datasites.training.evaluation import Predictor  # late: torch takes seconds to import

    checkpoint = load_model(path)
    spec, predictor = checkpoint.model, Predictor(checkpoint.model, checkpoint.weights)
    about = _about(path, "safetensors", spec, checkpoint.class_names)
    return OpenedModel(about, spec, checkpoint.form, lambda hold_out: predictor(inputs_of(spec, hold_out)))


def _of_onnx(path: Path, threads: int) -> OpenedModel:
    from researcher.exported.session import ModelSession  # late: onnxruntime takes a while to import

    session = ModelSession.open(path, threads=threads)
    said = session.about

    def ask(hold_out: HoldOut) -> np.ndarray:
        if said.text_form is None:
            return session.probabilities(hold_out.images)
        if hold_out.reports is None:
            raise DataError(f"{path.name} takes a report beside each picture, the test data have pictures alone.")
        return session.probabilities(hold_out.images, tokens(hold_out.reports, said.text_form))

    return OpenedModel(_about(path, said.format, said.model, said.class_names), said.model, said.form, ask)


def _about(path: Path, file_format: str, model: ModelSpec, class_names: tuple[str, ...]) -> JudgedModel:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return JudgedModel(path.name, file_format, model.name, digest, len(content), model.label_kind, class_names)
