"""The program of a reading process: takes tasks, reads pictures, tells digests. It knows no label, patient or setting.

It imports the decoders, and neither torch nor PySyft. A file that ends this process ends nothing else.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys

from datasites.ingestion.picture_reading import NOWHERE, Target, Task, read_picture

READY = b"ready\n"


def main() -> None:
    """Reads pictures until standard input ends: first the target, then lists of tasks; one line out for each.

    What comes in was written by the process that started this one. Nothing is written once that has ended: another
    ingest may have begun by then.
    """
    parent, results = os.getppid(), os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a decoder prints is no result
    target: Target = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the parent
    file = os.open(target.file, os.O_RDWR) if target.file else NOWHERE
    gc.freeze()  # what was imported stays, and is not looked through again and again
    os.write(results, READY)
    while True:
        try:
            tasks: list[Task] = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the parent
        except EOFError:
            return
        for task in tasks:
            if os.getppid() != parent:
                return
            os.write(results, read_picture(task, target, file).to_line())


if __name__ == "__main__":
    main()
