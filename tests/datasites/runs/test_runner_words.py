"""What a datasite hears of a runner beside its progress, and what it writes of it."""

from __future__ import annotations

import logging

from datasites.runs.processes.progress_pipe import READY, SLOWER, UNSEEN
from datasites.runs.processes.runner_words import heard


def test_the_log_names_what_a_gpu_does_in_a_slower_way_and_the_run_goes_on(caplog):
    progress: list[object] = []
    told: list[str] = []
    with caplog.at_level(logging.WARNING):
        heard(f"{SLOWER}the noise", READY, progress.append, told.append)
    assert [record.getMessage() for record in caplog.records] == [
        "a run's GPU does the noise in a slower way than there is; see the doctor"
    ]
    assert not progress and not told


def test_the_log_says_of_a_run_that_sees_none_of_its_gpus_what_the_driver_said(caplog):
    with caplog.at_level(logging.WARNING):
        assert heard(f"{UNSEEN}error 304, CUDA_ERROR_OPERATING_SYSTEM", READY, print, print)
    (record,) = caplog.records
    assert "leased a GPU and sees none" in record.getMessage() and "see the doctor" in record.getMessage()
    assert "computes on the processor: the driver says: error 304, CUDA_ERROR_OPERATING_SYSTEM" in record.getMessage()
