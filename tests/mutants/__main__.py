"""`make test-mutants`: every mutant and what finds it, on each engine; and sound training, which nothing may find.

`PYTHONPATH=.:tests python -m mutants --engines opacus --only noise --sound 5 --processes 8`. Exits with 1 if a mutant
survives or sound training fails.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor

import torch

from mutants.catalogue import MUTANTS
from mutants.trial import false_alarms, found_by_name
from policies.plans.training import ENGINES


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns how the process ends."""
    parser = argparse.ArgumentParser(prog="make test-mutants", description=__doc__)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto", help="auto takes a GPU where there is one")
    parser.add_argument("--only", default="", help="mutants whose name has this in it")
    parser.add_argument("--sound", type=int, default=20, help="audits of sound training for each engine")
    parser.add_argument("--processes", type=int, default=1, help="audits at a time")
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    print(f"{'mutant':50} {'engine':13} found by", flush=True)
    spawn = multiprocessing.get_context("spawn")  # a GPU cannot be used after a fork
    tried = [
        (mutant.name, engine)
        for mutant in MUTANTS
        for engine in mutant.engines
        if engine in options.engines and options.only in mutant.name
    ]
    with ProcessPoolExecutor(options.processes, spawn, torch.set_num_threads, (1,)) as pool:
        found = [pool.submit(found_by_name, *one, options.device) for one in tried]
        alarms = [pool.submit(false_alarms, number, options.engines, options.device) for number in range(options.sound)]
        survivors = list(_survivors(tried, found))
        false = [alarm for audit in alarms for alarm in audit.result()]
    print(f"\nsurvivors: {', '.join(survivors) or 'none'}")
    print(f"false alarms in {options.sound} audits of sound training, each engine: {', '.join(false) or 'none'}")
    print(f"{time.monotonic() - begun:.0f} s")
    return 1 if survivors or false else 0


def _survivors(tried: Sequence[tuple[str, str]], found: Sequence[Future[str | None]]) -> Iterator[str]:
    for (name, engine), check in zip(tried, found, strict=True):
        print(f"{name:50} {engine:13} {check.result() or 'NOTHING'}", flush=True)
        if check.result() is None:
            yield f"{name} ({engine})"


if __name__ == "__main__":
    sys.exit(main())
