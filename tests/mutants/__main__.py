"""`make test-mutants`: every mutant and what finds it, on each engine; and sound training, which nothing may find.

`PYTHONPATH=.:tests python -m mutants --engines opacus --only noise --sound 5`. Exits with 1 if a mutant survives or
sound training fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

import torch

from datasites.training.audit import run_audit
from mutants.catalogue import MUTANTS
from mutants.trial import found_by
from policies.plan import ENGINES


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns how the process ends."""
    parser = argparse.ArgumentParser(prog="make test-mutants", description=__doc__)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto", help="auto takes a GPU where there is one")
    parser.add_argument("--only", default="", help="mutants whose name has this in it")
    parser.add_argument("--sound", type=int, default=20, help="audits of sound training for each engine")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    begun = time.monotonic()
    print(f"{'mutant':50} {'engine':13} found by", flush=True)
    survivors = list(_survivors(options))
    alarms = list(_alarms(options))
    print(f"\nsurvivors: {', '.join(survivors) or 'none'}")
    print(f"false alarms in {options.sound} audits of sound training, each engine: {', '.join(alarms) or 'none'}")
    print(f"{time.monotonic() - begun:.0f} s")
    return 1 if survivors or alarms else 0


def _survivors(options: argparse.Namespace) -> Iterator[str]:
    for mutant in MUTANTS:
        for engine in mutant.engines:
            if engine in options.engines and options.only in mutant.name:
                found = found_by(mutant, engine, options.device)
                print(f"{mutant.name:50} {engine:13} {found or 'NOTHING'}", flush=True)
                if found is None:
                    yield f"{mutant.name} ({engine})"


def _alarms(options: argparse.Namespace) -> Iterator[str]:
    for number in range(options.sound):
        unit = ("picture", "patient")[number % 2]
        for engine in options.engines:
            result = run_audit(engine=engine, unit=unit, device=options.device)
            yield from (f"{check.name} ({engine})" for check in result.checks if not check.holds)


if __name__ == "__main__":
    sys.exit(main())
