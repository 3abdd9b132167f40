"""The program of a runner process: opens one job's inputs, is closed in, trains one round, writes the update, ends.

Closed in, it says so and waits: it works once the datasite has charged the round and says go.

Where the run has several GPUs it is the first of several processes, each closed in, that take every step together.
Towards the datasite it says how far it is, and at the end which kind of error there was; the text of an exception and
whatever is printed ends here, since either may hold anything of the pictures.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasites.runs import companions, sandbox
from datasites.runs.last_words import last_words
from datasites.runs.sandbox import Confinement
from policies.errors import SandboxMissing

if TYPE_CHECKING:
    import numpy as np

    from datasites.assets.store import PictureStore
    from datasites.training.shared_memory_team import SharedMemoryTeam

READY, DONE, ERROR, MISSING, TRAINED = "ready", "done", "error ", "missing ", "trained "
GO = b"go\n"
JOBS, PROGRESS = 0, 1  # where a runner is born with its two pipes
_MAX_TEXT = 600
_BYTES_OF_A_NUMBER = 4  # weights are float32, so a file of them has at least as many for each
_NEEDED = (
    "encodings.ascii",
    "opacus",
    "safetensors.numpy",
    "datasites.assets.features",
    "datasites.assets.store",
    "datasites.training.jobs",
    "datasites.training.shared_memory_team",
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
        team: The processes of the run, where it has several; this one does the first's work or a companion's.
    """

    plan: str
    round: int
    store: PictureStore
    weights: bytes
    progress: Callable[[float], None]
    features: np.ndarray | None = None
    trained: Callable[[float], None] = lambda seconds: None
    team: SharedMemoryTeam | None = None


# Runs inside the sandbox; returns the bytes of the result.
Work = Callable[[RunInputs], bytes]


def import_training() -> None:
    """Imports all that a run needs, before there is one: an account of its own may not be able to read libraries."""
    for name in _NEEDED:
        importlib.import_module(name)
    importlib.import_module("datasites.training.models").import_every_model()
    importlib.import_module("datasites.training.memory").keep_freed_memory()


def main(work: Work, missing: dict[str, str]) -> None:
    """Runs one job, given as a JSON line on `JOBS`; says `READY` before it works and `DONE` when the result is written.

    Guarantees:
        No process of the run works before the datasite has said `GO`.

    Args:
        work: What to do, inside the sandbox.
        missing: Namespaces that could not be had: name → why.
    """
    say, orders = _Progress(os.dup(PROGRESS)), os.dup(JOBS)
    line = _read_line(orders)
    if not line:
        return
    job = json.loads(line)
    try:
        inputs, result = _begin(job, say, orders, work, missing)
    except SandboxMissing as error:
        say.line(MISSING + error.private)
        return
    except Exception as error:
        say.line(ERROR + last_words(error))
        raise
    say.line(READY)
    if _read_line(orders) != GO:
        return
    os.close(orders)
    try:
        if inputs.team is not None:
            inputs.team.gather()  # the others wait for this
        content = memoryview(work(inputs))
        while content:
            content = content[os.write(result, content) :]
    except BaseException as error:  # noqa: BLE001 - it ends here, whatever it is; its text may hold pictures
        say.line(ERROR + last_words(error))
    else:
        say.line(DONE)


def _begin(
    job: dict[str, Any], say: _Progress, orders: int, work: Work, missing: dict[str, str]
) -> tuple[RunInputs, int]:
    """All that comes before the work: opens, forks companions where the job asks for them, and is closed in.

    Guarantees:
        No process of the run works before all of them are closed in and the first has said go. The first alone has
        the result's file, is told to go, and says how far the run is.
    """
    processes, confinement = job["processes"], Confinement.from_json(job["confinement"])
    inputs = _open(job, say)

    def close_in(rank: int) -> None:
        _silence()
        sandbox.enter(confinement.of_process(rank, processes), missing)

    def live(team: SharedMemoryTeam) -> None:
        say.close()
        os.close(orders)
        close_in(team.rank)
        for _ in ("closed in", "go"):
            team.gather()
        work(replace(inputs, progress=lambda share: None, trained=lambda seconds: None, team=team))

    if processes > 1:
        room = {"parameters": len(inputs.weights) // _BYTES_OF_A_NUMBER, "pictures": len(inputs.store.labels)}
        inputs = replace(inputs, team=companions.fork(processes, **room, live=live))
    result = os.open(job["result"], os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    close_in(0)
    if inputs.team is not None:
        companions.wait_until_closed_in(inputs.team)
    return inputs, result


def train(inputs: RunInputs) -> bytes:
    """One round of an approved plan: the client update, or noised counts, as canonical safetensors."""
    from safetensors.numpy import load

    from datasites.training.data import LabelledPictures
    from datasites.training.jobs import run_round
    from datasites.training.team import ALONE
    from policies.plans import parse
    from policies.weights import canonical_bytes

    team = inputs.team or ALONE
    _limit_threads(team.size)
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
        team=team,
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

    def close(self) -> None:
        os.close(self._descriptor)

    def share(self, done: float) -> None:
        self.line(repr(float(done)))


def _open(job: dict[str, Any], say: _Progress) -> RunInputs:
    """Opens what all processes of the run may read."""
    from datasites.assets.features import open_features
    from datasites.assets.store import open_store
    from policies.features import FeatureSpec

    folder, store = Path(job["store"]), open_store(Path(job["store"]))
    wanted = job["features"]
    return RunInputs(
        plan=job["plan"],
        round=job["round"],
        store=store,
        weights=Path(job["weights"]).read_bytes(),
        progress=say.share,
        features=None if wanted is None else open_features(folder, FeatureSpec(**wanted), store.manifest),
        trained=lambda seconds: say.line(f"{TRAINED}{seconds:.3f}"),
    )


def _silence() -> None:
    """Input and both outputs lead nowhere from here on."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _read_line(descriptor: int) -> bytes:
    content = b""
    while not content.endswith(b"\n"):
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return b""
        content += chunk
    return content


def _limit_threads(processes: int) -> None:
    """The run's threads, divided among its processes."""
    import torch

    torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", "1")) // processes))
