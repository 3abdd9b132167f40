"""The program of a runner process: reads one job, trains one round on private pictures, writes the update, ends.

What it prints, warns or raises goes to the hospital's log. Towards the datasite it says only how far it is.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TextIO

DONE = "done"


def import_training() -> None:
    """Imports what a run needs, before there is one."""
    import opacus  # noqa: F401
    import safetensors.numpy  # noqa: F401

    import datasites.training.jobs  # noqa: F401


def main() -> None:
    """Runs one job, given as a JSON line on standard input; says `DONE` when the result is written."""
    progress = _take_standard_output()
    line = sys.stdin.readline()
    if not line:
        return
    threading.Thread(target=_end_with_the_datasite, daemon=True).start()
    _train(json.loads(line), progress)
    print(DONE, file=progress, flush=True)


def _train(job: dict[str, str | int], progress: TextIO) -> None:
    from safetensors.numpy import load_file

    from datasites.assets.store import open_store
    from datasites.training.data import LabelledPictures
    from datasites.training.jobs import run_round
    from policies.plans import parse
    from policies.weights import canonical_bytes

    _limit_threads()
    store = open_store(Path(str(job["store"])))
    pictures = LabelledPictures(
        images=store.images, labels=store.labels, units=store.units, public_size=store.manifest.public_size
    )
    update = run_round(
        parse(str(job["plan"])),
        int(job["round"]),
        load_file(str(job["weights"])),
        pictures,
        progress=lambda step, steps: print(step / steps, file=progress, flush=True),
    )
    Path(str(job["result"])).write_bytes(canonical_bytes(update))


def _take_standard_output() -> TextIO:
    """Keeps standard output for progress alone; whatever else prints goes to standard error, the hospital's log."""
    progress = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return progress


def _end_with_the_datasite() -> None:
    """Ends this process when the datasite's end of the pipe closes."""
    while os.read(0, 1):
        continue
    os._exit(1)


def _limit_threads() -> None:
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
