"""Latency and memory of a model, measured in a process of its own. One public picture goes in, again and again.

`python -m researcher.judgement.speed MODEL` is that process: a picture comes in as an .npz, the measurement goes out as
JSON. It imports nothing of the program that asks, so that a notebook or a script without a guard can ask, too.
"""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from policies.errors import ConfigError
from policies.terminal.printing import say_json
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
    parts = {"reports": None if one.reports is None else np.array(one.reports), "features": one.features}
    given = io.BytesIO()
    np.savez(
        given,
        images=one.images,
        labels=one.labels,
        class_names=np.array(one.class_names),
        **{name: values for name, values in parts.items() if values is not None},
    )
    found = subprocess.run(
        [sys.executable, "-m", "researcher.judgement.speed", str(model)],
        input=given.getvalue(),
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
    )
    if found.returncode:
        raise ConfigError(
            f"The process that times {model} ended with status {found.returncode}, for want of memory perhaps. Judge "
            "it without its speed: researcher.judge(..., speed=False)."
        )
    return Speed(**json.loads(found.stdout))


def _main() -> None:
    """What the process does."""
    given = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    one = HoldOut(
        given["images"],
        given["labels"],
        tuple(given["class_names"].tolist()),
        tuple(given["reports"].tolist()) if "reports" in given else None,
        given.get("features"),
    )
    say_json(asdict(_measured(Path(sys.argv[1]), one)))


def _measured(path: Path, one: HoldOut) -> Speed:
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


if __name__ == "__main__":
    _main()
