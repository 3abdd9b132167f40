"""Latency and memory of a model, measured in a process of its own. One public picture goes in, again and again."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from policies.errors import ConfigError
from researcher.evaluation.hold_out import HoldOut
from researcher.judgement.judgement import Speed
from researcher.judgement.opened_model import open_model

_WARM_UP, _CALLS = 5, 100


def measure_speed(model: Path, one: HoldOut) -> Speed:
    """Times a model on one picture, which goes in alone.

    Args:
        model: Its file.
        one: A hold-out of one picture.

    Raises:
        ConfigError: The process that runs the model dies.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        try:
            return process.submit(_measured, model, one).result()
        except BrokenProcessPool as error:
            raise ConfigError(f"The process that runs {model} died, of too little memory perhaps.") from error


def _measured(path: Path, one: HoldOut) -> Speed:
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, which reads it
    model = open_model(path, threads=1)
    taken = []
    for number in range(_WARM_UP + _CALLS):
        began = time.perf_counter()
        model.ask(one)
        if number >= _WARM_UP:
            taken.append(1000 * (time.perf_counter() - began))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Speed(
        median_ms=float(np.median(taken)),
        p95_ms=float(np.quantile(taken, 0.95)),
        calls=len(taken),
        threads=1,
        peak_memory_mb=peak / 1e6,
    )
