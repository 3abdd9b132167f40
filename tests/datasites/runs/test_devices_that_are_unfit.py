"""A hospital's device that is unfit for a round costs nothing: real runs, a real queue, a real ledger."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from support.array_store import SourcePictures, ingest
from support.charged_rounds import PLAN, SPEC, Datasite, make_datasite

from datasites.audit_log.chain import read
from datasites.runs.gpus import Gpu
from datasites.runs.processes.process import ForkServer
from policies.errors import NotRepeatable, OutOfMemory, RunFailed

TWO = (Gpu(0, "GPU-00"), Gpu(1, "GPU-01"))


def with_pictures(folder: Path, fork_server: ForkServer, gpus: tuple[Gpu, ...]) -> Datasite:
    made = make_datasite(folder, fork_server, gpus=gpus)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, *SPEC.image_shape), dtype=np.uint8)
    made.state.store.rmdir()
    ingest(SourcePictures(images, np.arange(60) % 2, ("dark", "bright"), None), made.state.store, name="d")
    return made


def test_a_device_that_is_unfit_costs_nothing_and_the_round_is_run_when_asked_for_again(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    os.umask(0o077)
    for folder, gpus in {"alone": (), "process_group": TWO}.items():
        datasite = with_pictures(tmp_path / folder, fork_server, gpus)
        for index, error in enumerate((NotRepeatable, OutOfMemory, RunFailed)):
            datasite.ask(index, seed=0)
            datasite.execute(index)
            run = datasite.run(index)
            assert (run.state, run.code) == ("failed", error.code)
            assert "read no picture" in run.reason
        assert datasite.kinds == ["reserve"]
        assert "run started" not in [entry["event"] for entry in read(datasite.state.audit).entries]
        datasite.ask(0, seed=1)
        datasite.execute(0)
        assert datasite.run(0).state == "done", datasite.run(0).reason
        assert datasite.kinds == ["reserve", "start", "commit"]
        assert datasite.steps_charged == PLAN.steps_per_round
        datasite.close()
