"""Kernels of a process that will be closed in: a run is shown those that there are, and another process makes them.

A run takes them from the folder that it was given, in which it may read and nothing else. The process that compiles
has no picture, no weights and no result; it is closed in too, with compilers and that one folder to write.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace

from datasites.runs.gpus import find_gpus
from datasites.runs.processes.job import Job
from datasites.runs.sandbox import compilers, cuda_driver
from datasites.runs.sandbox import confinement as sandbox
from datasites.runs.sandbox.compilers import HERE, NOWHERE
from datasites.runs.sandbox.confinement import Confinement
from policies.plans.kinds import parse
from policies.plans.training import TrainingPlan

_CACHE = "datasites.training.gpu.kernel_cache"  # it imports Triton, as do these
_NEEDED = (
    "datasites.training.book_keeping.gpu_gradients",
    "datasites.training.compiling",
    "datasites.training.gpu.affine",
    "datasites.training.gpu.noise",
    "datasites.training.gpu.self_test",
)
FILES, _WORK = "files", "work"


def import_early() -> None:
    """Does for all runs that are forked from this process what each with a GPU needs done before it is closed in."""
    if find_gpus():
        import_kernels()


def import_kernels() -> None:
    """Imports all that uses kernels, and asks what these hang on.

    A run's account may not be able to read libraries, and finds no program to ask. Without Triton there is nothing to
    import.
    """
    with contextlib.suppress(ImportError):
        for name in _NEEDED:
            importlib.import_module(name)
        importlib.import_module(_CACHE).ask_what_kernels_hang_on()


def shown(confinement: Confinement) -> Confinement:
    """Shows a run with a GPU its kernels, before it is closed in; returns how it is, without any if there are none.

    Guarantees:
        From here on the run begins to compile nothing, which it could not end.
    """
    if not confinement.gpus:
        return replace(confinement, kernels=None)
    cuda_driver.load()
    import_kernels()
    cache = sys.modules.get(_CACHE)
    if cache is None or confinement.kernels is None or not confinement.kernels.is_dir():
        confinement = replace(confinement, kernels=None)
    if cache is not None:
        cache.ask_what_kernels_hang_on(confinement.kernels)
        cache.keep_kernels_in(HERE if confinement.kernels else NOWHERE, writes=False)
    return confinement


def why_unseen(confinement: Confinement) -> str:
    """What the driver says to a process that is closed in with a GPU and sees none; empty for every other process."""
    answer = cuda_driver.ask() if confinement.gpus else None
    return "" if answer is None or answer.gpus else answer.told


def begin(job: Job, missing: dict[str, str]) -> tuple[Callable[[], tuple[bytes, ...]], int]:
    """Closes this process in as one that compiles; returns its work, and a file for a result of nothing.

    Guarantees:
        It opened nothing of the hospital but the folder that it makes kernels in.

    Args:
        job: Whose plan is compiled for; its confinement says where.
        missing: Namespaces that could not be had: name → why.

    Raises:
        SandboxMissing: It could not be closed in.
    """
    confinement, folder = job.confinement, job.confinement.kernels
    if folder is None:
        raise ValueError("A process that compiles is told where.")
    for part in (folder / FILES, folder / _WORK):
        part.mkdir(mode=0o700)
    if os.geteuid() == 0:
        for part in (folder, folder / FILES, folder / _WORK):
            os.chown(part, confinement.uid, confinement.uid)
    cuda_driver.load()
    import_kernels()
    cache = importlib.import_module(_CACHE)
    compilers.copy_headers(folder / _WORK / "headers")
    cache.find_headers_in(HERE / _WORK / "headers")
    cache.keep_kernels_in(HERE / FILES, writes=True)
    result = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    sandbox.silence()
    sandbox.enter(confinement, missing)
    tempfile.tempdir = str(HERE / _WORK)
    os.environ["TMPDIR"] = tempfile.tempdir

    def work() -> tuple[bytes, ...]:
        plan = parse(job.plan)
        compiling = importlib.import_module("datasites.training.compiling")
        try:
            if isinstance(plan, TrainingPlan):
                compiling.compile_kernels(plan)
        except compiling.NoGpuSeen as error:
            raise RuntimeError(f"{error} The driver says: {cuda_driver.ask().told}.") from error
        return ()

    return work, result
