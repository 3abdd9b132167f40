"""A round on the mock twin, in a process like a real run's: fork server, enclosure, engine and contract alike."""

from __future__ import annotations

import contextlib
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from datasites.assets.features import draw_features, kept_features, reading_kept
from datasites.assets.mock_store import mock_bytes, write_mock_store
from datasites.assets.published import PublishedDataset
from datasites.assets.store import PictureStore, open_store
from datasites.rehearsal.estimate import Measured, shortened
from datasites.runs.gpus import Gpu
from datasites.runs.processes.job import Job
from datasites.runs.processes.kernels.ready_kernels import ReadyKernels
from datasites.runs.processes.launcher import NEVER_BEGAN, Launcher
from datasites.runs.sandbox.limits import RunLimits
from policies.answers.hospital import DatasetSchema
from policies.answers.rehearsals import MAX_LINE, MAX_LINES
from policies.contracts.outputs import release_update, withhold
from policies.contracts.weights import Shapes, canonical_header, read_weights
from policies.errors import DiskFull, RunFailed
from policies.plans.kinds import Plan
from policies.plans.model_options import check_features
from policies.plans.plan_json import sha256_text
from policies.plans.server.local_part import keeps_part, local
from policies.untrusted_text import shown

MAX_SECONDS = 300.0  # to become ready, and again to work
_BLOCK = 1 << 18  # numbers drawn at once


@dataclass(frozen=True)
class Asked:
    """What is rehearsed: nothing of the private dataset but its public schema.

    Attributes:
        plan: As a run takes it.
        schema: Of the dataset that it names.
        inputs: Names and shapes of the arrays that a round takes in.
        outputs: Of those that it lets out.
    """

    plan: Plan
    schema: DatasetSchema
    inputs: Shapes
    outputs: Shapes

    @classmethod
    def of(cls, plan: Plan, dataset: PublishedDataset, inputs: Shapes, outputs: Shapes) -> Self:
        """A plan as a run on this dataset would take it: on kept scattering features where these are there."""
        return cls(reading_kept(plan, dataset.store), dataset.manifest.public, inputs, outputs)


@dataclass
class Seen:
    """What is seen of a rehearsal from outside while it runs: it holds whatever the end is.

    Attributes:
        peak_memory_mb: Most memory that its first process held.
        traceback: Lines that it told.
    """

    peak_memory_mb: int = 0
    traceback: list[str] = field(default_factory=list)

    def line(self, text: str) -> None:
        """Keeps one more line of the traceback, as many as an answer may have."""
        if len(self.traceback) < MAX_LINES:
            self.traceback.append(shown(text, most=MAX_LINE))


class MockRounds:
    """Runs rounds on the mock twin.

    Args:
        launcher: Starts each process, as it does those of real runs.
        kernels: Of the hospital's GPUs, with what closes each process in, likewise; those that are compiled for a
            rehearsal are ready when the request is approved.
        limits: The most that one run may take; a rehearsal takes no more.
        folder: For the mock's pictures and each rehearsal's files, removed when the datasite starts.
        max_update_bytes: The most bytes of a set of weights.
        free_disk_bytes: Of the disk, bytes that a rehearsal never takes.
    """

    def __init__(
        self,
        *,
        launcher: Launcher,
        kernels: ReadyKernels,
        limits: RunLimits,
        folder: Path,
        max_update_bytes: int,
        free_disk_bytes: int,
    ) -> None:
        self._launcher, self._enclosure, self._limits = launcher, kernels.enclosure, limits
        self._kernels = kernels
        self._folder, self._max_update_bytes, self._free_disk_bytes = folder, max_update_bytes, free_disk_bytes
        self._writing = threading.Lock()  # two that begin at once need the same mock

    def run(
        self,
        asked: Asked,
        gpus: tuple[Gpu, ...],
        seen: Seen,
        *,
        given_up: Callable[[], bool],
        name: str = "rehearsal",
    ) -> Measured:
        """Runs a few steps of the plan's first round on the mock.

        Guarantees:
            It is given no path of a picture store but the mock's, which it writes itself from the schema. It is closed
            in as a run is, takes no more than a run may, and at most `MAX_SECONDS` to become ready and again to work.
            Of its result nothing is kept.

        Args:
            asked: What.
            gpus: What it was leased.
            seen: Filled while it runs.
            given_up: Whether something more important has come; asked again and again.
            name: Of its files and its control group; no two at a time have the same.

        Raises:
            WanwuError: It failed as a run would have, took too long, or was given up.
        """
        plan = shortened(asked.plan)
        self._launcher.warm_up()
        self._kernels.compile_missing(plan, gpus, name, given_up)
        with self._scratch(asked, name) as scratch:
            store = self._mock(asked)
            weights = scratch / "weights.safetensors"
            with weights.open("wb") as file:
                _draw_weights(file, asked.inputs)
            job = Job.of_round(
                plan,
                gpus=len(gpus),
                round=0,
                store=str(self._mock_folder(asked)),
                weights=str(weights),
                result=str(scratch / "update.safetensors"),
                confinement=self._kernels.given(self._enclosure.confine(gpus), plan),
                rehearses=True,
            )
            preparing, steps, working = self._execute(job, plan, seen, given_up, name)
            release_update(
                _leaving(Path(job.result), plan, asked, weights, max_bytes=self._max_update_bytes),
                asked.outputs,
                plan.update_encoding,
                lambda part: None,
                max_bytes=self._max_update_bytes,
            )
            return Measured(preparing, steps, working, len(store.labels), len(gpus))

    def _execute(
        self, job: Job, plan: Plan, seen: Seen, given_up: Callable[[], bool], name: str
    ) -> tuple[float, list[float], float]:
        """The seconds until the process was ready, and from then until each step and until the end."""
        ready, steps, began = [0.0], list[float](), time.monotonic()
        with self._enclosure.entrance(name) as group:
            process = self._launcher.start(group=group)

            def look() -> None:
                seen.peak_memory_mb = max(seen.peak_memory_mb, process.peak_memory_mb())

            def begin() -> None:
                look()
                ready[0] = time.monotonic()

            def progress(share: float) -> None:
                steps.append(time.monotonic())
                look()

            most = min(plan.run.timeout_seconds, self._limits.wall_seconds_per_run, MAX_SECONDS)
            try:
                process.execute(
                    job,
                    begin=begin,
                    timeout_seconds=most,
                    cancelled=given_up,
                    progress=progress,
                    told=seen.line,
                )
            except RunFailed as error:
                if error.public in NEVER_BEGAN:
                    raise
                took = time.monotonic() - (ready[0] or began + process.waited_seconds)
                raise RunFailed(_reason(seen, most if took >= most else None), private=error.private) from error
            finally:
                process.release()
        preparing = ready[0] - began - process.waited_seconds
        return preparing, [at - ready[0] for at in steps], time.monotonic() - ready[0]

    @contextlib.contextmanager
    def _scratch(self, asked: Asked, name: str) -> Iterator[Path]:
        """A folder for one rehearsal's files, where the disk has room for them."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        needed = mock_bytes(asked.schema) + sum(map(_bytes, (asked.inputs, asked.outputs)))
        if shutil.disk_usage(self._folder).free < needed + self._free_disk_bytes:
            raise DiskFull("The hospital's disk has no room for a rehearsal. Ask the hospital.")
        scratch = self._folder / name
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        try:
            yield scratch.resolve()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _mock_folder(self, asked: Asked) -> Path:
        return (self._folder / sha256_text(repr(asked.schema))[:16]).resolve()

    def _mock(self, asked: Asked) -> PictureStore:
        """The mock's store, written when it is first needed, with the features that the plan reads."""
        folder, wanted = self._mock_folder(asked), check_features(asked.plan)
        with self._writing:
            store = open_store(folder) if folder.exists() else write_mock_store(folder, asked.schema)
            if wanted is not None and wanted not in kept_features(folder):
                draw_features(folder, wanted)
        return store


def _leaving(result: Path, plan: Plan, asked: Asked, weights: Path, *, max_bytes: int) -> Path:
    """The part of a rehearsal's result that would leave: all of it, but what the plan's strategy keeps here."""
    if not keeps_part(plan):
        return result
    begun = local(plan, read_weights(weights.read_bytes(), asked.inputs, max_bytes=max_bytes))
    leaving = result.with_name("leaving.safetensors")
    withhold(result, asked.inputs, begun, leaving, max_bytes=max_bytes)
    return leaving


def _reason(seen: Seen, given: float | None) -> str:
    """Why a rehearsal failed, for both sides.

    Args:
        seen: What it told.
        given: The seconds that it was given, where it took longer.
    """
    if given is not None:
        return (
            f"On the mock it took longer than the {given:g} seconds that a rehearsal gets. Set a smaller sample_rate "
            "or model, or ask for a machine with a GPU."
        )
    if seen.traceback:
        return f"It ended on the mock with {_named(seen.traceback)}"
    return (
        "On the mock its process ended without a word, as one does that the system ends for want of memory. Set a "
        "smaller physical_batch_size, or ask the hospital to look at its log."
    )


def _named(traceback: list[str]) -> str:
    """The line of a traceback that names its last exception: the first one after the places."""
    after = max((number for number, line in enumerate(traceback) if line.startswith("  ")), default=-1)
    return next(iter(traceback[after + 1 :]), traceback[-1])


def _draw_weights(file: BinaryIO, shapes: Shapes) -> None:
    """Writes weights of these shapes, small random numbers that repeat after a block, in little memory."""
    file.write(canonical_header(shapes))
    block = (0.02 * np.random.default_rng(0).standard_normal(_BLOCK)).astype("<f4").tobytes()
    left = _bytes(shapes)
    while left > 0:
        left -= file.write(block[:left])


def _bytes(shapes: Shapes) -> int:
    return sum(4 * math.prod(shape) for shape in shapes.values())
