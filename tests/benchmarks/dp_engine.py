"""What a private training step costs beside a plain one: time and memory, four ways, alternated in one run.

    python tests/benchmarks/dp_engine.py     writes out/bench/dp_engine.json and prints what it measured

A step is forward, backward, clipping, noise and the optimiser's step, on random pictures that are in memory already.
On a CPU each case has processes of its own: one that times all ways in turn, and one for each way's memory. On a GPU
see `dp_engine_gpu.py`, beside an earlier build `dp_engine_beside.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT)]

ENGINES = ("sgd", "opacus_hooks", "opacus_ghost", "book_keeping")
CLASSES = 9
SLOW_SECONDS, SLOW_REPEATS = 4.0, 1  # an engine whose step takes longer is timed so often
SHARE_OF_FREE = 0.8  # what a case may take of the machine's memory
_MMAP_THRESHOLD = -3  # glibc's name for it in malloc.h
LEARNING_RATE, BOUND = 1e-3, 1.0
PRIVACY = {"noise_multiplier": 1.0, "max_grad_norm": BOUND}

Step = Callable[[], None]


@dataclass(frozen=True)
class Case:
    """A model of `datasites.training.models` (`linear_head`: 1024 features), on square pictures of three channels."""

    model: str
    image_size: int
    batch: int


@dataclass(frozen=True)
class Setting:
    """Where and how all ways compute."""

    device: str
    bf16: bool
    channels_last: bool
    threads: int


CASES = (
    Case("linear_head", 32, 32768),
    Case("small_cnn", 28, 256),
    Case("small_cnn", 64, 128),
    Case("small_cnn", 224, 16),
    Case("mobilenet_v3_small", 28, 64),
    Case("mobilenet_v3_small", 64, 64),
    Case("mobilenet_v3_small", 224, 16),
    Case("mobilenet_v3_large", 28, 64),
    Case("mobilenet_v3_large", 64, 64),
    Case("mobilenet_v3_large", 224, 16),
    Case("efficientnet_lite0", 28, 64),
    Case("efficientnet_lite0", 64, 64),
    Case("efficientnet_lite0", 224, 16),
    Case("resnet18", 28, 64),
    Case("resnet18", 64, 128),
    Case("resnet18", 224, 16),
    Case("resnet50", 28, 32),
    Case("resnet50", 64, 64),
    Case("resnet50", 224, 16),
    Case("vit_small", 28, 32),
    Case("vit_small", 64, 32),
    Case("vit_small", 224, 16),
)


def main() -> None:
    """Runs the cases that the arguments name."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--models", nargs="*", help="only these models")
    options.add_argument("--sizes", nargs="*", type=int, help="only pictures of so many pixels a side")
    options.add_argument("--batch", type=int, help="pictures a step, in place of each case's own")
    options.add_argument("--engines", nargs="*", choices=ENGINES, default=list(ENGINES), help="only these, beside sgd")
    options.add_argument("--repeats", type=int, default=5, help="timed steps of each engine (5)")
    options.add_argument("--threads", type=int, default=1, help="torch's threads on a CPU (1)")
    options.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options.add_argument("--bf16", action="store_true", help="under autocast to bfloat16")
    options.add_argument("--channels_last", action="store_true", help="model and pictures in that memory format")
    options.add_argument("--quick", action="store_true", help="on a GPU some cases, without Opacus' engines")
    options.add_argument("--round", action="store_true", help="also a whole round from a memory map, book_keeping's")
    options.add_argument("--beside", type=Path, help="an earlier checkout: on a CPU private and plain steps of both")
    options.add_argument("--out", type=Path, default=PROJECT / "out" / "bench" / "dp_engine.json")
    chosen = options.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # as runs: a thread that waits sleeps
    if chosen.beside:
        _print_beside(chosen)
        return
    engines = ["sgd", *(engine for engine in chosen.engines if engine != "sgd")]
    rows: list[dict[str, Any]] = []
    print(f"{'model':<20} {'size':>4} {'batch':>5}  {'engine':<13} {'s/step':>8} {'ratio':>6} {'MB':>7} {'ratio':>6}")
    for row in _rows(engines, chosen):
        rows.append(row)
        print(_line(row), flush=True)
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"written to {chosen.out}")


def _print_beside(chosen: argparse.Namespace) -> None:
    import dp_engine_beside

    setting = Setting("cpu", chosen.bf16, chosen.channels_last, chosen.threads)
    rows: list[dict[str, Any]] = []
    for row in dp_engine_beside.rows_beside(chosen.beside, _chosen(CASES, chosen), setting, chosen.repeats):
        rows.append(row)
        print(dp_engine_beside.line(row), flush=True)
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(rows, indent=1) + "\n")


def _rows(engines: list[str], chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    if chosen.device == "cpu":
        for case in _chosen(CASES, chosen):
            yield from _measured(case, engines, chosen)
        return
    import dp_engine_gpu

    setting = Setting(chosen.device, chosen.bf16, chosen.channels_last, chosen.threads)
    cases = _chosen(dp_engine_gpu.QUICK if chosen.quick else dp_engine_gpu.GPU_CASES, chosen)
    ways = ["sgd", "book_keeping"] if chosen.quick else engines
    yield from dp_engine_gpu.rows_on_gpu(cases, ways, setting, chosen.repeats, whole_round=chosen.round)


def _chosen(cases: tuple[Case, ...], chosen: argparse.Namespace) -> list[Case]:
    return [
        Case(case.model, case.image_size, chosen.batch or case.batch)
        for case in cases
        if case.model in (chosen.models or [case.model]) and case.image_size in (chosen.sizes or [case.image_size])
    ]


def _measured(case: Case, engines: list[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    setting = Setting(options.device, options.bf16, options.channels_last, options.threads)
    times, broken = _in_process(_timed, case, engines, options.repeats, setting)
    memory = {engine: _in_process(_extra_memory, case, engine, setting) for engine in engines if engine in times}
    rows = []
    for engine in engines:
        row: dict[str, Any] = {**asdict(case), "engine": engine, **asdict(setting)}
        if engine in broken:
            rows.append({**row, "error": broken[engine]})
            continue
        seconds = statistics.median(times[engine])
        plain = statistics.median(times["sgd"])
        rows.append(
            {
                **row,
                "seconds_per_step": round(seconds, 5),
                "ratio_to_sgd": round(seconds / plain, 3),
                "images_per_second": round(case.batch / seconds, 1),
                **_memory_fields(memory[engine], memory["sgd"]),
            }
        )
        if engine == "book_keeping":
            rows[-1]["noise_share"] = round(statistics.median(times["noise"]) / seconds, 3)
            if times["loading"]:
                loading = statistics.median(times["loading"])
                rows[-1]["loading_share"] = round(loading / (loading + seconds), 3)
            if options.round:
                rows[-1] |= _in_process(_round_fields, case, setting)
    return rows


def _round_fields(case: Case, setting: Setting) -> dict[str, float]:
    import dp_engine_round

    return dp_engine_round.round_fields(case, setting)


def _memory_fields(found: int | None, plain: int | None) -> dict[str, float | None]:
    if found is None or plain is None:
        return {"extra_memory_mb": None, "memory_ratio_to_sgd": None}
    return {"extra_memory_mb": round(found / 1e6, 1), "memory_ratio_to_sgd": round(found / max(plain, 1), 3)}


def _line(row: dict[str, Any]) -> str:
    head = f"{row['model']:<20} {row['image_size']:>4} {row['batch']:>5}  {row['engine']:<13}"
    if "error" in row:
        return f"{head} {row['error']}"
    noise = f"  noise {row['noise_share']:.1%}" if "noise_share" in row else ""
    if "ratio_to_graph_sgd" in row:
        noise += f"  of SGD's graph {row['ratio_to_graph_sgd']:.2f}, {row['launches_per_step']} launches"
    noise += "".join(f"  {name} slower: {why}" for name, why in row.get("slower", {}).items())
    noise += _told_of_round(row)
    noise += f", loading {row['loading_share']:.0%}" if "loading_share" in row else ""
    time_columns = f"{head} {row['seconds_per_step']:>8.4f} {row['ratio_to_sgd']:>6.2f}"
    if row["extra_memory_mb"] is None:
        return f"{time_columns} more than {SHARE_OF_FREE:.0%} of the free memory"
    return f"{time_columns} {row['extra_memory_mb']:>7.0f} {row['memory_ratio_to_sgd']:>6.2f}{noise}"


def _told_of_round(row: dict[str, Any]) -> str:
    import dp_engine_round

    return dp_engine_round.told(row)


def _in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls `function` in a fresh process, so that no case starts with the memory of another."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_stay_in_memory) as pool:
        return pool.submit(function, *arguments).result()


def _stay_in_memory() -> None:
    """Lets an engine that wants more memory than there is fail, in place of the machine."""
    import torch

    from datasites.training.dp_sgd.memory import free_bytes

    free, taken = free_bytes(torch.device("cpu")), int(Path("/proc/self/statm").read_text().split()[0])
    if free is not None:
        limit = taken * resource.getpagesize() + int(SHARE_OF_FREE * free)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _timed(
    case: Case, engines: list[str], repeats: int, setting: Setting
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds of each engine's steps, taken in turn; and what the engines said that cannot train the model."""
    import torch

    from datasites.training.dp_sgd.memory import keep_freed_memory

    keep_freed_memory()  # as runs do; all engines gain by it
    torch.set_num_threads(setting.threads)
    warnings.simplefilter("ignore")
    steps: dict[str, Step] = {}
    times: dict[str, list[float]] = {"noise": []}
    broken: dict[str, str] = {}
    for engine in engines:
        try:
            step = _step(case, engine, setting, times["noise"])
            step()
            steps[engine] = step
        except (RuntimeError, NotImplementedError, ValueError, MemoryError) as error:
            broken[engine] = said(error)
    times["noise"].clear()
    for turn in range(repeats):
        for engine, step in list(steps.items()):
            if turn >= SLOW_REPEATS and times[engine][0] > SLOW_SECONDS:
                continue
            started = _clock(setting.device)
            try:
                step()
            except (RuntimeError, MemoryError) as error:  # no room beside what the other engines keep
                broken[engine] = said(error)
                del steps[engine]
                times.pop(engine, None)
                continue
            times.setdefault(engine, []).append(_clock(setting.device) - started)
    times["loading"] = [] if case.model == "linear_head" else _loading(case, setting.device, repeats)
    return times, broken


def said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def _loading(case: Case, device: str, repeats: int) -> list[float]:
    """Seconds of reading a step's pictures from a memory map, with the largest augmentation."""
    import numpy as np

    from datasites.training.dp_sgd.loader import Loader
    from datasites.training.pictures.data import LabelledPictures
    from datasites.training.randomness.randomness import SecureRandom
    from policies.plans.training import ModelSpec, RunSpec, TrainingPlan

    spec = ModelSpec(case.model, (case.image_size, case.image_size, 3), CLASSES)
    plan = TrainingPlan("s", "d", spec, 1, 1, 1.0, 0.1, augmentation="flips_and_turns", run=RunSpec(device="auto"))
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        shape = (2 * case.batch, case.image_size, case.image_size, 3)
        np.save(file, np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
        file.flush()
        stored = np.load(file.name, mmap_mode="r")
        units = np.arange(len(stored))
        pictures = LabelledPictures(stored, np.zeros(len(stored), dtype=np.int64), units, len(stored))
        loader = Loader(plan, pictures, SecureRandom(), device)
        times = []
        for _ in range(repeats + 1):
            started = _clock(device)
            drawn = np.random.default_rng(1).permutation(units)[: case.batch, None]
            for _ in loader(loader.in_parts(drawn)):
                pass
            times.append(_clock(device) - started)
    return times[1:]


def _extra_memory(case: Case, engine: str, setting: Setting) -> int | None:
    """Most bytes in use during steps, beyond what the libraries, the model and the pictures take; None if too many."""
    import torch

    _give_freed_memory_back()
    torch.set_num_threads(setting.threads)
    warnings.simplefilter("ignore")
    _step(Case(case.model, case.image_size, 2), engine, setting, [])()  # loads what a first step loads
    step = _step(case, engine, setting, [])
    if setting.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        step()
        return int(torch.cuda.max_memory_allocated() - before)
    before = _resident(peak=False)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    try:
        step()
        step()
    except (RuntimeError, MemoryError):
        return None
    return max(0, _resident(peak=True) - before)


def _give_freed_memory_back() -> None:
    """Lets the C library hand every block back that is freed, so that resident memory is what is in use."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 1 << 16)  # a fixed one; by itself it grows with what is freed


def _clock(device: str) -> float:
    """Processor seconds of this process on a CPU in one thread; seconds on the clock in several, and on a GPU."""
    import torch

    if device == "cpu":
        return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()
    torch.cuda.synchronize()
    return time.perf_counter()


def _resident(*, peak: bool) -> int:
    field = "VmHWM:" if peak else "VmRSS:"
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _step(case: Case, engine: str, setting: Setting, noise_seconds: list[float]) -> Step:
    """One step of an engine, ready to be called."""
    import torch

    torch.manual_seed(0)
    device, order = setting.device, torch.channels_last if setting.channels_last else torch.contiguous_format
    model = model_of(case).to(device, memory_format=order).train()
    images = torch.randn(case.batch, 3, case.image_size, case.image_size, device=device).to(memory_format=order)
    if case.model == "linear_head":
        images = torch.randn(case.batch, 1024, device=device)
    labels = torch.randint(0, CLASSES, (case.batch,), device=device)
    if engine == "book_keeping":
        step = _book_keeping(model, images, labels, noise_seconds, device)
    else:
        step = WAYS[engine](model, images, labels)

    def in_precision() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=setting.bf16):
            step()

    return in_precision


def model_of(case: Case) -> Any:
    from torch import nn

    from datasites.training.models import build_model
    from policies.plans.training import ModelSpec

    if case.model == "linear_head":
        return nn.Linear(1024, CLASSES)
    return build_model(ModelSpec(case.model, (case.image_size, case.image_size, 3), CLASSES))


def plain_optimizer(model: Any) -> Any:
    import torch

    return torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)


def _sgd(model: Any, images: Any, labels: Any) -> Step:
    import torch.nn.functional as F

    optimizer = plain_optimizer(model)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


def _opacus_hooks(model: Any, images: Any, labels: Any) -> Step:
    """Opacus as it comes: its hooks, its optimiser, its noise from torch's generator."""
    import torch.nn.functional as F
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    hooked = GradSampleModule(model)
    optimizer = DPOptimizer(plain_optimizer(model), **PRIVACY, expected_batch_size=len(labels))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(hooked(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)  # or its gradients of each picture lie beside the next engine's

    return step


def _opacus_ghost(model: Any, images: Any, labels: Any) -> Step:
    """Opacus' ghost clipping: two backward passes, no per-picture gradients where a layer has a norm rule."""
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.optimizers import DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
    from torch import nn

    hooked = GradSampleModuleFastGradientClipping(model, max_grad_norm=BOUND, use_ghost_clipping=True)
    optimizer = DPOptimizerFastGradientClipping(plain_optimizer(model), **PRIVACY, expected_batch_size=len(labels))
    criterion = DPLossFastGradientClipping(hooked, optimizer, nn.CrossEntropyLoss())

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        criterion(hooked(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _book_keeping(model: Any, images: Any, labels: Any, noise_seconds: list[float], device: str) -> Step:
    """What a hospital runs: this project's engine, Opacus' optimiser, noise from the hospital's own generator."""

    from datasites.training.book_keeping import BookKeeping
    from datasites.training.dp_sgd.noise import NoisyOptimizer
    from datasites.training.randomness.randomness import SecureRandom

    class Timed(NoisyOptimizer):
        def add_noise(self) -> None:
            started = _clock(device)
            super().add_noise()
            noise_seconds.append(_clock(device) - started)

    engine = BookKeeping(model, BOUND)
    optimizer = Timed(
        plain_optimizer(model),
        **PRIVACY,
        expected_batch=len(labels),
        random=SecureRandom(),
        after_noise=lambda: None,
    )

    def step() -> None:
        optimizer.step_with(engine.clipped_sum(images, labels))

    return step


WAYS: dict[str, Callable[[Any, Any, Any], Step]] = {
    "sgd": _sgd,
    "opacus_hooks": _opacus_hooks,
    "opacus_ghost": _opacus_ghost,
}

if __name__ == "__main__":
    main()
