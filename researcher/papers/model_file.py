"""The file of a global model, weights with their sidecar or an exported model, as it describes itself."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from policies.errors import ConfigError, ModelRefused
from policies.plans.model_spec import ModelSpec
from policies.plans.picture_form import PictureForm
from researcher.studies.checkpoints import load_model

WEIGHTS = ".safetensors"
_VERSION = re.compile(r"wanwu ([0-9]{1,4})\.([0-9]{1,4})(?![0-9])")


@dataclass(frozen=True, order=True)
class Cost:
    """What the model cost one hospital: (epsilon, delta) per `unit`."""

    epsilon: float
    delta: float
    unit: str


@dataclass(frozen=True)
class ModelFile:
    """A model's own statement, not yet held against anything.

    Attributes:
        name: Of the file.
        sha256: Of the file.
        bytes: Its size.
        form: `safetensors`, or the format of an exported model.
        model: Which network, for which pictures.
        class_names: Of the outputs, in order.
        form_of_pictures: How files became the pictures; None where these came as arrays.
        modality: What kind of pictures they are, as the hospitals declare it; None where the file does not say.
        round: Rounds that went into the weights.
        plan_digest: Of the plan that was approved.
        weights_sha256: Of the safetensors file that it is, or was made from.
        costs: What it cost where it was trained privately: by hospital where the file names them, else by number.
        without_privacy: At how many hospitals it was trained without differential privacy.
        receipts: SHA-256 of the receipts that the file names; None where it names none, as weights do.
        gram: SHA-256 of the Gram matrices that its rounds stepped by, by hospital where the file names them, else by
            number; empty where it names none.
        before_digests: Whether the file says that its weights were written before Wanwu 0.3, when none named a matrix.
    """

    name: str
    sha256: str
    bytes: int
    form: str
    model: ModelSpec
    class_names: tuple[str, ...]
    form_of_pictures: PictureForm | None
    modality: str | None
    round: int
    plan_digest: str
    weights_sha256: str
    costs: dict[str, Cost]
    without_privacy: int
    receipts: tuple[str, ...] | None
    gram: dict[str, str]
    before_digests: bool


def read_model_file(path: Path) -> ModelFile:
    """Reads a global model (`.safetensors` with its sidecar) or an exported one (`.onnx`).

    Raises:
        ConfigError: It is not there, is of another kind, or the weights are not those that the sidecar describes.
        ModelRefused: An exported file says nothing of itself, or was changed.
    """
    content = _content(path)
    digest = hashlib.sha256(content).hexdigest()
    if path.suffix == WEIGHTS:
        saved = load_model(path)
        costs = {name: Cost(spent.epsilon, spent.delta, spent.unit) for name, spent in saved.privacy.items() if spent}
        return ModelFile(
            name=path.name,
            sha256=digest,
            bytes=len(content),
            form="safetensors",
            model=saved.model,
            class_names=saved.class_names,
            form_of_pictures=saved.form,
            modality=saved.modality,
            round=saved.round,
            plan_digest=saved.plan_digest,
            weights_sha256=digest,
            costs=costs,
            without_privacy=len(saved.privacy) - len(costs),
            receipts=None,
            gram=dict(saved.gram or {}),
            before_digests=_before_digests(saved.written_by),
        )
    if path.suffix == ".onnx":
        from researcher.exported.session import ModelSession

        about = ModelSession(content).about
        return ModelFile(
            name=path.name,
            sha256=digest,
            bytes=len(content),
            form=about.format,
            model=about.model,
            class_names=about.class_names,
            form_of_pictures=about.form,
            modality=None,
            round=about.round,
            plan_digest=about.plan_digest,
            weights_sha256=about.model_sha256,
            costs={str(at): Cost(one.epsilon, one.delta, one.unit) for at, one in enumerate(about.privacy, 1)},
            without_privacy=about.without_privacy,
            receipts=about.receipts,
            gram={str(at): digest for at, digest in enumerate(about.gram, 1)},
            before_digests=about.gram_unnamed or _before_digests(about.written_by),
        )
    raise ModelRefused(f"{path.name} is neither a global model (.safetensors) nor an exported one (.onnx).")


def _before_digests(written_by: str) -> bool:
    """Whether a file was written before Wanwu 0.3: a sidecar named no program then, and an exported file always did."""
    version = _VERSION.match(written_by)
    return not written_by if version is None else (int(version[1]), int(version[2])) < (0, 3)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read. Give the global model that 'train' or 'export' wrote.") from error
