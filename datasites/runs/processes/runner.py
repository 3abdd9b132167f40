"""The program of a runner process: opens one job's inputs, is closed in, trains one round, writes the update, ends.

Closed in, it prepares the round without its pictures, says that it is ready, and waits: it reads them once the datasite
has charged the round and says go. A device that is unfit for the round costs nothing.

Where the run has several GPUs it is the first of several processes, each closed in, that take every step together.
Towards the datasite it says how far it is, and at the end which kind of error there was; the text of an exception and
whatever is printed ends here, since either may hold anything of the pictures. A rehearsal's pictures are the mock's:
of it, and of it alone, the text of an exception is told.
"""

from __future__ import annotations

import importlib
import mmap
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from datasites.assets.features import open_features
from datasites.assets.mock_store import is_mock
from datasites.assets.store import PictureStore, open_store
from datasites.runs.processes import workers
from datasites.runs.processes.device_looks import LOOKED
from datasites.runs.processes.job import Job
from datasites.runs.processes.kernels import compiler
from datasites.runs.processes.progress_pipe import DONE, MISSING, READY, SLOWER, TRAINED, UNSEEN, ProgressPipe
from datasites.runs.processes.unread_weights import UnreadWeights, mapped
from datasites.runs.sandbox import confinement as sandbox
from policies.contracts.weights import canonical_pieces
from policies.errors import SandboxMissing, StoreBroken
from policies.plans.features import kept_spec
from policies.plans.kinds import parse

if TYPE_CHECKING:
    import numpy as np

    from datasites.training.process_group.shared_memory_group import SharedMemoryGroup

GO = b"go\n"
JOBS, PROGRESS = 0, 1  # where a runner is born with its two pipes
_BYTES_OF_A_NUMBER = 4  # weights are float32, so a file of them has at least as many for each
_NEEDED = (
    "encodings.ascii",
    "opacus",
    "datasites.training.dp_sgd.opacus_hooks",
    "safetensors.numpy",
    "datasites.training.jobs",
    "datasites.training.process_group.shared_memory_group",
    "torch._subclasses.schema_check_mode",
)


@dataclass(frozen=True)
class RunInputs:
    """What a run has, once it is closed in: nothing of the pictures.

    Attributes:
        plan: The approved plan as JSON.
        round: Round index, from 0.
        weights: The round's global weights, a safetensors file's bytes, in memory or mapped.
        public_size: The number of privacy units that the hospital declares.
        progress: Told the share of the steps that are done.
        trained: Told the seconds that training took, with its preparation: for the hospital's log alone, since they
            depend on the pictures.
        slower: Told the name of what the GPU does in a slower way than there is for it: for the hospital's log alone.
        look: What a look at the device found in an earlier run of the same kind, or empty.
        looked: Told what this run's own look found, before it reads the weights.
        process_group: The processes of the run, where it has several; this one does the first's work or a worker's.
    """

    plan: str
    round: int
    weights: bytes | mmap.mmap
    public_size: int
    progress: Callable[[float], None] = lambda share: None
    trained: Callable[[float], None] = lambda seconds: None
    slower: Callable[[str], None] = lambda name: None
    look: str = ""
    looked: Callable[[str], None] = lambda found: None
    process_group: SharedMemoryGroup | None = None


@dataclass(frozen=True)
class RunPictures:
    """What a run has besides, once the datasite has said go.

    Attributes:
        store: The open pictures.
        features: The open features, where the plan's model reads them instead of pictures.
    """

    store: PictureStore
    features: np.ndarray | None = None


Result = tuple[bytes | memoryview, ...]  # in pieces that follow one another
# Both run inside the sandbox: the work after the datasite has said go.
Work = Callable[[RunPictures], Result]
Preparation = Callable[[RunInputs], Work]


def import_training() -> None:
    """Imports all that a run needs, before there is one: an account of its own may not be able to read libraries."""
    for name in _NEEDED:
        importlib.import_module(name)
    importlib.import_module("datasites.training.models").import_every_model()
    importlib.import_module("datasites.training.dp_sgd.memory").keep_freed_memory()
    compiler.import_early()


def main(prepare: Preparation, missing: dict[str, str]) -> None:
    """Runs one job, given as a JSON line on `JOBS`; says `READY` once it is prepared and `DONE` when it is written.

    Guarantees:
        No process of the run is given the pictures before the datasite has said `GO`.

    Args:
        prepare: What to do, inside the sandbox.
        missing: Namespaces that could not be had: name → why.
    """
    say, orders = ProgressPipe(os.dup(PROGRESS)), os.dup(JOBS)
    line = _read_line(orders)
    if not line:
        return
    job = Job.from_line(line)
    try:
        work, result = _begin(job, say, orders, prepare, missing)
    except SandboxMissing as error:
        say.line(MISSING + error.private)
        return
    except Exception as error:
        say.end(error, rehearses=job.rehearses)
        raise
    say.line(READY)
    if _read_line(orders) != GO:
        return
    os.close(orders)
    try:
        for piece in work():
            content = memoryview(piece)
            while content:
                content = content[os.write(result, content) :]
    except BaseException as error:  # noqa: BLE001 - it ends here, whatever it is; its text may hold pictures
        say.end(error, rehearses=job.rehearses)
    else:
        say.line(DONE)


def _begin(
    job: Job, say: ProgressPipe, orders: int, prepare: Preparation, missing: dict[str, str]
) -> tuple[Callable[[], Result], int]:
    """All that comes before the pictures: opens, forks workers where the job asks for them, is closed in, prepares.

    Guarantees:
        No process of the run prepares anything before all of them are closed in, and when this returns all are
        prepared. The first alone has the result's file, is told to go, and says how far the run is.

    Returns:
        The work, to be done once the datasite has said go, and the file for its result.
    """
    processes, confinement = job.processes, job.confinement
    if confinement.compiles:
        return compiler.begin(job, missing)
    confinement = compiler.shown(confinement)
    inputs, pictures = _open(job, say)

    def close_in(rank: int) -> None:
        sandbox.silence()
        sandbox.enter(confinement.of_process(rank, processes), missing)

    def live(process_group: SharedMemoryGroup) -> None:
        say.close()
        os.close(orders)
        close_in(process_group.rank)
        process_group.barrier()  # all are closed in
        tells_nobody = replace(
            inputs,
            progress=lambda share: None,
            trained=lambda seconds: None,
            slower=lambda name: None,
            looked=lambda found: None,
        )
        _prepared(replace(tells_nobody, process_group=process_group), pictures, prepare)()

    if processes > 1:
        room = {"parameters": len(inputs.weights) // _BYTES_OF_A_NUMBER, "pictures": len(pictures.store.labels)}
        inputs = replace(inputs, process_group=workers.fork(processes, **room, live=live))
    result = os.open(job.result, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    close_in(0)
    if inputs.process_group is not None:
        workers.wait_until_closed_in(inputs.process_group)
    if why := compiler.why_unseen(confinement):
        say.line(UNSEEN + why)
    return _prepared(inputs, pictures, prepare), result


def _prepared(inputs: RunInputs, pictures: RunPictures, prepare: Preparation) -> Callable[[], Result]:
    """Prepares the work together with the run's other processes; returns it, with the pictures.

    Guarantees:
        A worker's work waits until the first process begins its own.
    """
    work, process_group = prepare(inputs), inputs.process_group
    if process_group is None:
        return lambda: work(pictures)
    process_group.barrier()  # all are prepared

    def together() -> Result:
        process_group.barrier()  # the first has been told to go
        return work(pictures)

    return together


def prepare(inputs: RunInputs) -> Work:
    """One round of an approved plan: the client update, or noised counts, as canonical safetensors."""
    from datasites.training.dp_sgd.device_look import KeptLook
    from datasites.training.jobs import prepare_round
    from datasites.training.pictures.data import LabelledPictures
    from datasites.training.pictures.unit_index import UnitIndex
    from datasites.training.process_group.process_group import SINGLE_PROCESS

    begun, process_group = time.monotonic(), inputs.process_group or SINGLE_PROCESS
    _limit_threads(process_group.size)
    run_round = prepare_round(
        parse(inputs.plan),
        inputs.round,
        UnreadWeights(inputs.weights),
        public_size=inputs.public_size,
        process_group=process_group,
        slower=inputs.slower,
        kept=KeptLook(inputs.look, inputs.looked),
    )
    preparing_seconds = time.monotonic() - begun

    def work(pictures: RunPictures) -> Result:
        begun, store = time.monotonic(), pictures.store
        update = run_round(
            LabelledPictures(
                images=store.images,
                labels=store.labels,
                units=store.units,
                public_size=inputs.public_size,
                texts=store.texts,
                text_form=store.manifest.text,
                features=pictures.features,
                unit_index=UnitIndex.kept(store.by_unit, store.unit_starts),
            ),
            progress=lambda step, steps: inputs.progress(step / steps),
        )
        inputs.trained(preparing_seconds + time.monotonic() - begun)
        return canonical_pieces(update)

    return work


def _open(job: Job, say: ProgressPipe) -> tuple[RunInputs, RunPictures]:
    """Opens what all processes of the run may read. Pictures are mapped, not read.

    Guarantees:
        Of a rehearsal it returns only where the store is the mock's.
    """
    folder, store = Path(job.store), open_store(Path(job.store))
    if job.rehearses and not is_mock(store):
        raise StoreBroken("A rehearsal reads the mock's pictures and no others. Look at the datasite's log.")
    wanted = job.features
    inputs = RunInputs(
        plan=job.plan,
        round=job.round,
        weights=mapped(Path(job.weights)),
        public_size=store.manifest.public_size,
        progress=say.share,
        trained=lambda seconds: say.line(f"{TRAINED}{seconds:.3f}"),
        slower=lambda name: say.line(SLOWER + name),
        look=job.look,
        looked=lambda found: say.line(LOOKED + found),
    )
    features = None if wanted is None else open_features(folder, kept_spec(wanted), store.manifest)
    return inputs, RunPictures(store, features)


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
