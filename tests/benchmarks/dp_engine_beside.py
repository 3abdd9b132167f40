"""A private step of this build and of another one, each beside plain training there: all four in turns, in one run.

    python tests/benchmarks/dp_engine.py --beside ../earlier --models vit_small --sizes 64

Each build has a process of its own for a case, which makes its steps with its own benchmark, under this one's
interpreter and packages, and takes one when it is asked for one; nothing else of the two computes then. A busy machine
so slows all four alike: the least of the turns is what it slowed least.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dp_engine import Case, Setting

PROJECT = Path(__file__).resolve().parents[2]
WAYS = ("sgd", "book_keeping")
_WARM_UP = 2
# Where builds have the function that has the C library keep freed memory, the newest first.
_MEMORY = ("datasites.training.dp_sgd.memory", "datasites.training.memory")


class Build:
    """A checkout's steps of one case, in a process of its own that takes one at a time.

    Args:
        checkout: Of the build.
        case: Whose steps.
        setting: How they compute.
    """

    def __init__(self, checkout: Path, case: Case, setting: Setting) -> None:
        told = json.dumps({"case": asdict(case), "setting": asdict(setting)})
        environment = {**os.environ, "OMP_NUM_THREADS": str(setting.threads), "OMP_WAIT_POLICY": "PASSIVE"}
        command = [sys.executable, str(Path(__file__).resolve()), str(checkout.resolve()), told]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=checkout, env=environment, **pipes)

    def seconds(self, way: str) -> float:
        """Takes a step.

        Args:
            way: One of `WAYS`.

        Raises:
            RuntimeError: The process ended.
        """
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(way + "\n")
            self._process.stdin.flush()
        if not (said := self._process.stdout.readline()):
            raise RuntimeError("A build's process ended; what it said stands above.")
        return float(said)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


def rows_beside(beside: Path, cases: Sequence[Case], setting: Setting, turns: int) -> Iterator[dict[str, Any]]:
    """Measures cases one after the other.

    Args:
        beside: The other build's checkout.
        cases: To be measured.
        setting: How they compute.
        turns: After `_WARM_UP` more, that are not counted.

    Yields:
        A row for each case, as `line` prints it.
    """
    for case in cases:
        with contextlib.ExitStack() as stack:
            builds = {}
            for name, checkout in (("this", PROJECT), ("beside", beside)):
                builds[name] = Build(checkout, case, setting)
                stack.callback(builds[name].close)
            taken: dict[str, dict[str, list[float]]] = {name: {way: [] for way in WAYS} for name in builds}
            for turn in range(turns + _WARM_UP):
                for name in sorted(builds, reverse=turn % 2 == 1):  # each is first in every second turn
                    for way in WAYS:
                        taken[name][way].append(builds[name].seconds(way))
        counted = {name: {way: all_[_WARM_UP:] for way, all_ in ways.items()} for name, ways in taken.items()}
        yield {**asdict(case), **asdict(setting), "beside": beside.name, "turns": turns, **_figures(counted)}


def _figures(taken: dict[str, dict[str, list[float]]]) -> dict[str, float]:
    found: dict[str, float] = {"load": round(os.getloadavg()[0], 1)}
    for name, ways in taken.items():
        for way, seconds in ways.items():
            found[f"{way}_{name}_seconds"] = round(statistics.median(seconds), 5)
            found[f"{way}_{name}_least"] = round(min(seconds), 5)
        pairs = zip(ways["book_keeping"], ways["sgd"], strict=True)
        found[f"ratio_{name}"] = round(statistics.median(private / plain for private, plain in pairs), 3)
        found[f"ratio_{name}_of_least"] = round(min(ways["book_keeping"]) / min(ways["sgd"]), 3)
    for way in WAYS:
        this, other = taken["this"][way], taken["beside"][way]
        found[f"{way}_of_beside"] = round(statistics.median(a / b for a, b in zip(this, other, strict=True)), 3)
        found[f"{way}_of_beside_least"] = round(min(this) / min(other), 3)
    return found


def line(row: dict[str, Any]) -> str:
    """A row as a person reads it.

    Args:
        row: Of `rows_beside`.
    """
    return (
        f"{row['model']:<20} {row['image_size']:>4} {row['batch']:>5}  private over plain, median of {row['turns']}: "
        f"{row['ratio_this']:.3f}, beside {row['ratio_beside']:.3f}; of least {row['ratio_this_of_least']:.3f}, "
        f"{row['ratio_beside_of_least']:.3f}; private over beside's {row['book_keeping_of_beside']:.3f}, least "
        f"{row['book_keeping_of_beside_least']:.3f} ({row['book_keeping_this_least']:.4f} s); plain likewise "
        f"{row['sgd_of_beside']:.3f}, {row['sgd_of_beside_least']:.3f}; load {row['load']}"
    )


def _serve(checkout: Path, told: dict[str, Any]) -> None:
    """Takes a build's steps as they are asked for on standard input, and says how long each took."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    sys.path[:] = [str(checkout), str(checkout / "tests" / "benchmarks"), *sys.path[1:]]
    import torch

    benchmark: Any = importlib.import_module("dp_engine")
    for name in _MEMORY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name).keep_freed_memory()  # as runs do
            break
    threads = told["setting"]["threads"]
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    clock = time.process_time if threads == 1 else time.perf_counter
    case, setting = benchmark.Case(**told["case"]), benchmark.Setting(**told["setting"])
    steps = {way: benchmark._step(case, way, setting, []) for way in WAYS}
    for way in sys.stdin:
        started = clock()
        steps[way.strip()]()
        print(clock() - started, file=answers, flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), json.loads(sys.argv[2]))
