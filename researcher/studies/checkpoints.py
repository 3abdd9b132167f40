"""Global models and the state of a study on disk: safetensors and JSON, all of it released.

A global model is `model.safetensors` with its sidecar `model.json`. A study's state is one folder, in which
`state.json` names the safetensors file that belongs to it: replacing that one file moves to the next round.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from policies import __version__, validate
from policies.errors import ConfigError, FederationError, PlanError
from policies.plans import plan_json
from policies.plans.model_spec import ModelSpec
from policies.plans.picture_form import MODALITIES, PictureForm
from researcher import atomic_file, weights_file
from researcher.studies.history import History, PrivacySpent
from researcher.weights_file import WeightsFile

if TYPE_CHECKING:
    from researcher.strategies.state import ServerState, Weights

CHECKPOINT_VERSION = 1
STATE_FILE, SHARED_FILE = "state.json", "shared_part.safetensors"
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, PlanError)


@dataclass(frozen=True)
class Checkpoint:
    """A global model and what to know about it.

    Attributes:
        weights: Name → float32 array.
        model: Which model they are of.
        round: Rounds that went into them.
        class_names: Of the outputs, in order.
        plan_digest: Digest of the plan that was approved.
        privacy: Datasite → what the weights cost there; None where training was not private.
        form: How files become the pictures that it takes; None where the hospitals' pictures came as arrays.
        modality: What kind of pictures the hospitals declare theirs to be; None where that is not known.
        gram: Datasite → SHA-256 of the Gram matrix that its rounds stepped by, as that left it; None where they stepped
            by none, and in files that were written before Wanwu 0.3.
        written_by: Name and version of the program that wrote it; empty in files from before Wanwu 0.3.
    """

    weights: Weights
    model: ModelSpec
    round: int
    class_names: tuple[str, ...]
    plan_digest: str
    privacy: Mapping[str, PrivacySpent | None]
    form: PictureForm | None = None
    modality: str | None = None
    gram: Mapping[str, str] | None = None
    written_by: str = f"wanwu {__version__}"

    def __post_init__(self) -> None:
        if self.modality is not None:
            validate.choice("modality", self.modality, MODALITIES)
        for name, digest in (self.gram or {}).items():
            validate.digest(f"gram.{name}", digest)


def save_model(path: Path | str, checkpoint: Checkpoint) -> Path:
    """Writes `path` (`.safetensors`), then the sidecar beside it (`.json`).

    Raises:
        ConfigError: The suffix is another, or the folder cannot be written.
    """
    path, sidecar = Path(path), _sidecar(path)
    written = weights_file.write(path.parent, path.name, checkpoint.weights)
    about = {
        "version": CHECKPOINT_VERSION,
        "model": plan_json.plain(checkpoint.model),
        "round": checkpoint.round,
        "class_names": checkpoint.class_names,
        "plan_digest": checkpoint.plan_digest,
        "privacy": {name: spent and asdict(spent) for name, spent in checkpoint.privacy.items()},
        "weights": written.to_dict(),
        **({} if checkpoint.form is None else {"form": checkpoint.form.to_dict()}),
        **({} if checkpoint.modality is None else {"modality": checkpoint.modality}),
        **({} if checkpoint.gram is None else {"gram": dict(checkpoint.gram)}),
        **({"written_by": checkpoint.written_by} if checkpoint.written_by else {}),
    }
    atomic_file.write(sidecar, _json(about))
    return path


def load_model(path: Path | str) -> Checkpoint:
    """Reads what `save_model` wrote.

    Raises:
        ConfigError: A file is missing or malformed, or the weights are not those that the sidecar describes.
    """
    path, sidecar = Path(path), _sidecar(path)
    if not path.exists():
        check_whole(path.parent)
        raise ConfigError(f"{path} cannot be read: there is no such file. Give the global model that 'train' wrote.")
    about = _read(sidecar)
    try:
        return Checkpoint(
            weights=weights_file.read(path.parent, WeightsFile(**{**about["weights"], "file": path.name})),
            model=ModelSpec(**about["model"]),
            round=int(about["round"]),
            class_names=tuple(about["class_names"]),
            plan_digest=str(about["plan_digest"]),
            privacy={name: spent and PrivacySpent(**spent) for name, spent in about["privacy"].items()},
            form=PictureForm.from_dict(about.get("form")),
            modality=about.get("modality"),
            gram=dict(about["gram"]) if "gram" in about else None,
            written_by=str(about.get("written_by", "")),
        )
    except _MALFORMED as error:
        raise ConfigError(f"{sidecar} is not the sidecar of a global model ({error}).") from error


def check_whole(folder: Path) -> None:
    """Refuses the folder of a study that has no global model, since each hospital keeps a part of it.

    Raises:
        ConfigError: It is one.
    """
    if (folder / SHARED_FILE).exists():
        raise ConfigError(
            f"The study in {folder} has no whole model to export, judge or publish: each hospital keeps a part of its "
            f"own, which never leaves it. What they share is {SHARED_FILE}; a whole model needs a part trained at home."
        )


def save_state(folder: Path | str, state: ServerState, history: History, *, plan_digest: str) -> Path:
    """Makes `folder` hold the study after `state.round` rounds; a crash meanwhile leaves the round before.

    Raises:
        FederationError: `history` has not as many rounds as `state`.
        ConfigError: The folder cannot be written.
    """
    folder = Path(folder)
    if len(history) != state.round:
        raise FederationError(f"Expected a history of {state.round} rounds, got {len(history)}.")
    written = weights_file.write(folder, f"round-{state.round:05d}-{{digest}}.safetensors", _flat(state))
    about = {
        "version": CHECKPOINT_VERSION,
        "plan_digest": plan_digest,
        "round": state.round,
        "weights": written.to_dict(),
        "history": json.loads(history.to_json()),
        **({} if state.kept is None else {"hospitals": state.kept.to_dict()}),
    }
    atomic_file.write(folder / STATE_FILE, _json(about))
    for old in folder.glob("round-*.safetensors"):
        if old.name != written.file:
            old.unlink(missing_ok=True)
    for half in [*folder.glob(".round-*.part"), *folder.glob(f".{STATE_FILE}.*.part")]:  # of processes that were killed
        half.unlink(missing_ok=True)
    if state.kept is not None:
        state.kept.remove_others()
    return folder


def load_state(folder: Path | str, *, plan_digest: str) -> tuple[ServerState, History] | None:
    """The state and history to resume from, or None if nothing was saved in `folder`.

    Raises:
        ConfigError: The folder holds another plan's study, or a file is missing, malformed or changed.
    """
    folder, path = Path(folder), Path(folder) / STATE_FILE
    if not path.exists():
        return None
    from researcher.strategies import KeptWeights, ServerState  # late: a model is read without the strategies

    try:
        about = _read(path)
    except ConfigError as error:
        raise _damaged(path, error) from error
    if about.get("plan_digest") != plan_digest:
        raise ConfigError(
            f"{folder} holds a study of another plan, with digest {about.get('plan_digest')}; this plan's is "
            f"{plan_digest}. Choose another folder, or the plan that was approved."
        )
    try:
        arrays = weights_file.read(folder, WeightsFile(**about["weights"]))
        history = History.from_json(json.dumps(about["history"]))
        weights, slots = _unflat(arrays)
        state = ServerState(weights, int(about["round"]), slots)
        if "hospitals" in about:
            state = replace(state, kept=KeptWeights.from_dict(folder, about["hospitals"]))
    except ConfigError as error:
        raise _damaged(path, error) from error
    except _MALFORMED as error:
        raise _damaged(path, ConfigError(f"{path} is not the state of a study ({error}).")) from error
    if len(history) != state.round:
        told = f"{path} has {len(history)} rounds of history, its weights are of {state.round}."
        raise _damaged(path, ConfigError(told))
    return state, history


def _damaged(path: Path, error: ConfigError) -> ConfigError:
    """What is wrong with a study's state, and how the study goes on: hospitals keep what they trained."""
    return ConfigError(
        f"{error.public} Take the folder's last whole copy; or move {path.name} elsewhere and run the study again: it "
        "then begins with its first round, hospitals hand out the updates that they keep, and nothing is charged twice."
    )


def _flat(state: ServerState) -> Weights:
    """The state's arrays as `weights/<name>` and `slots/<slot>/<name>`."""
    flat = {f"weights/{name}": array for name, array in state.weights.items()}
    for slot, arrays in state.slots.items():
        flat |= {f"slots/{slot}/{name}": array for name, array in arrays.items()}
    return flat


def _unflat(flat: Mapping[str, np.ndarray]) -> tuple[Weights, dict[str, Weights]]:
    """A state's weights, and its slots, of what `_flat` made."""
    weights: Weights = {}
    slots: dict[str, Weights] = {}
    for key, array in flat.items():
        kind, _, name = key.partition("/")
        if kind == "weights":
            weights[name] = array
        else:
            slot, _, name = name.partition("/")
            slots.setdefault(slot, {})[name] = array
    return weights, slots


def _sidecar(path: Path | str) -> Path:
    if Path(path).suffix != ".safetensors":
        raise ConfigError(f"A global model's file must end in .safetensors, got {path}.")
    return Path(path).with_suffix(".json")


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=1, allow_nan=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(atomic_file.read(path))
    except ValueError as error:
        raise ConfigError(f"{path} must be JSON as this program writes it.") from error
    if not isinstance(values, dict) or values.get("version") != CHECKPOINT_VERSION:
        raise ConfigError(f"{path} must be a JSON object of version {CHECKPOINT_VERSION}.")
    return values
