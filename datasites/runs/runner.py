"""The program of a runner process: opens one job's inputs, is closed in, trains one round, writes the update, ends.

Towards the datasite it says how far it is, and at the end which kind of error there was; the text of an exception and
whatever is printed ends here, since either may hold anything of the pictures.
"""

from __future__ import annotations

import importlib
import json
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasites.runs import sandbox
from datasites.runs.sandbox import Confinement
from policies.errors import SandboxMissing

if TYPE_CHECKING:
    import numpy as np

    from datasites.assets.store import PictureStore

DONE, ERROR, MISSING, TRAINED = "done", "error ", "missing ", "trained "
JOBS, PROGRESS = 0, 1  # where a runner is born with its two pipes
_MAX_TEXT = 600
_NEEDED = (
    "encodings.ascii",
    "opacus",
    "safetensors.numpy",
    "datasites.assets.features",
    "datasites.assets.store",
    "datasites.training.jobs",
    "policies.plans",
    "policies.weights",
)


@dataclass(frozen=True)
class RunInputs:
    """What a run has, once it is closed in.

    Attributes:
        plan: The approved plan as JSON.
        round: Round index, from 0.
        store: The open pictures.
        weights: The round's global weights, safetensors.
        progress: Told the share of the steps that are done.
        features: The open features, where the plan's model reads them instead of pictures.
        trained: Told the seconds that training took: for the hospital's log alone, since they depend on the pictures.
    """

    plan: str
    round: int
    store: PictureStore
    weights: bytes
    progress: Callable[[float], None]
    features: np.ndarray | None = None
    trained: Callable[[float], None] = lambda seconds: None


# Runs inside the sandbox; returns the bytes of the result.
Work = Callable[[RunInputs], bytes]


def import_training() -> None:
    """Imports all that a run needs, before there is one: an account of its own may not be able to read libraries."""
    for name in _NEEDED:
        importlib.import_module(name)
    importlib.import_module("datasites.training.models").import_every_model()
    importlib.import_module("datasites.training.memory").keep_freed_memory()


def main(work: Work, missing: dict[str, str]) -> None:
    """Runs one job, given as a JSON line on `JOBS`; says `DONE` when the result is written.

    Args:
        work: What to do, inside the sandbox.
        missing: Namespaces that could not be had: name → why.
    """
    say = _Progress(os.dup(PROGRESS))
    line = _read_line(JOBS)
    if not line:
        return
    job = json.loads(line)
    try:
        inputs, result = _open(job, say)
        _silence()
        sandbox.enter(Confinement.from_json(job["confinement"]), missing)
    except SandboxMissing as error:
        say.line(MISSING + error.private)
        return
    except Exception as error:
        say.line(ERROR + _place(error))
        raise
    try:
        content = memoryview(work(inputs))
        while content:
            content = content[os.write(result, content) :]
    except BaseException as error:  # noqa: BLE001 - it ends here, whatever it is; its text may hold pictures
        say.line(ERROR + _place(error))
    else:
        say.line(DONE)


def train(inputs: RunInputs) -> bytes:
    """One round of an approved plan: the client update, or noised counts, as canonical safetensors."""
    from safetensors.numpy import load

    from datasites.training.data import LabelledPictures
    from datasites.training.jobs import run_round
    from policies.plans import parse
    from policies.weights import canonical_bytes

    _limit_threads()
    store = inputs.store
    pictures = LabelledPictures(
        images=store.images,
        labels=store.labels,
        units=store.units,
        public_size=store.manifest.public_size,
        texts=store.texts,
        text_form=store.manifest.text,
        features=inputs.features,
    )
    begun = time.monotonic()
    update = run_round(
        parse(inputs.plan),
        inputs.round,
        load(inputs.weights),
        pictures,
        progress=lambda step, steps: inputs.progress(step / steps),
    )
    inputs.trained(time.monotonic() - begun)
    return canonical_bytes(update)


class _Progress:
    """The pipe to the datasite."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def line(self, text: str) -> None:
        plain = "".join(sign if " " <= sign <= "~" else "?" for sign in text)
        os.write(self._descriptor, plain[:_MAX_TEXT].encode() + b"\n")

    def share(self, done: float) -> None:
        self.line(repr(float(done)))


def _open(job: dict[str, Any], say: _Progress) -> tuple[RunInputs, int]:
    """Opens what the run may have; afterwards it can open nothing more."""
    from datasites.assets.features import open_features
    from datasites.assets.store import open_store
    from policies.features import FeatureSpec

    folder, store = Path(job["store"]), open_store(Path(job["store"]))
    wanted = job["features"]
    inputs = RunInputs(
        plan=job["plan"],
        round=job["round"],
        store=store,
        weights=Path(job["weights"]).read_bytes(),
        progress=say.share,
        features=None if wanted is None else open_features(folder, FeatureSpec(**wanted), store.manifest),
        trained=lambda seconds: say.line(f"{TRAINED}{seconds:.3f}"),
    )
    result = os.open(job["result"], os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    return inputs, result


def _silence() -> None:
    """Input and both outputs lead nowhere from here on."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _place(error: BaseException) -> str:
    """The kind of an error and where it was raised, without its text."""
    frames = list(traceback.walk_tb(error.__traceback__))[-3:]
    places = ", ".join(f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in reversed(frames))
    return f"{type(error).__name__} at {places}"


def _read_line(descriptor: int) -> bytes:
    content = b""
    while not content.endswith(b"\n"):
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return b""
        content += chunk
    return content


def _limit_threads() -> None:
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
