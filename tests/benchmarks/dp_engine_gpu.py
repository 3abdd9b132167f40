"""What a private step costs on a GPU, beside plain ones: launched one by one, and as one CUDA graph.

For `dp_engine.py --device cuda`. All cases run in one process, after others have compiled their kernels side by side:
Triton keeps them on disk. What is timed of this project is what a round does: a recorded pass over a batch that lies on
the GPU, a key drawn, noise and step recorded as one.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from typing import Any

from dp_engine import BOUND, PRIVACY, WAYS, Case, Setting, Step, model_of, said

from policies.errors import WanwuError

# Batches that fill an H100 or H200.
GPU_CASES = (
    Case("linear_head", 32, 65536),
    Case("small_cnn", 64, 2048),
    *(
        Case(model, size, batch)
        for model in (
            "mobilenet_v3_small",
            "mobilenet_v3_large",
            "efficientnet_lite0",
            "resnet18",
            "resnet50",
            "vit_small",
        )
        for size, batch in ((64, 512), (224, 128))
    ),
)
QUICK = (
    Case("linear_head", 32, 65536),
    Case("small_cnn", 64, 2048),
    Case("resnet18", 64, 512),
    Case("mobilenet_v3_small", 224, 128),
    Case("resnet50", 224, 128),
    Case("vit_small", 224, 128),
)
_COMPILERS = 14  # processes
_COMPILED_WITH = 8  # pictures: kernels hang on layers, not on how many pictures there are
_WARM = 2
_NOISES = 16


def rows_on_gpu(
    cases: list[Case], engines: list[str], setting: Setting, repeats: int, *, whole_round: bool
) -> Iterator[dict[str, Any]]:
    """Yields a row for each case and engine, in turn."""
    import torch
    from dp_engine_round import round_fields

    print(_hardware(), flush=True)
    print(f"kernels compiled in {_compiled(cases, setting):.0f} s", flush=True)
    warnings.simplefilter("ignore")
    for case in cases:
        plain: dict[str, Any] = {}
        for engine in engines:
            row: dict[str, Any] = {
                **asdict(case),
                "engine": engine,
                **asdict(setting),
                "gpu": torch.cuda.get_device_name(),
            }
            try:
                found = _measured(case, engine, setting, repeats)
                if engine == "sgd":
                    plain = found
                fields = round_fields(case, setting) if whole_round and engine == "book_keeping" else {}
                yield {**row, **_beside(plain, found, case), **fields}
            except (RuntimeError, NotImplementedError, ValueError, KeyError, WanwuError) as error:
                yield {**row, "error": said(error)}
            torch.cuda.empty_cache()


def _beside(plain: dict[str, Any], found: dict[str, Any], case: Case) -> dict[str, Any]:
    seconds, graph = found.pop("seconds"), plain["seconds_per_step_graph_sgd"]
    fields = {
        "seconds_per_step": round(seconds, 5),
        "ratio_to_sgd": round(seconds / plain.setdefault("plain", seconds), 3),
        "seconds_per_step_graph_sgd": round(graph, 5),
        "ratio_to_graph_sgd": round(seconds / graph, 3),
        "images_per_second": round(case.batch / seconds, 1),
        "extra_memory_mb": round(found["memory"] / 1e6, 1),
        "memory_ratio_to_sgd": round(found["memory"] / max(1, plain["memory"]), 3),
        "launches_per_step": found["launches_per_step"],
    }
    if "noise" in found:
        fields |= {"noise_share": round(found["noise"] / seconds, 4), "slower": found["slower"]}
    return fields


def _measured(case: Case, engine: str, setting: Setting, repeats: int) -> dict[str, Any]:
    """Seconds, memory and launches of an engine's step."""
    import torch

    model, images, labels = _made(case, setting)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    found: dict[str, Any] = {}
    if engine == "book_keeping":
        step, called, found = _private(model, images, labels, setting)
    else:
        step = called = _in_precision(WAYS[engine](model, images, labels), setting)
    for _ in range(_WARM):
        step()
    found["memory"] = int(torch.cuda.max_memory_allocated() - before)
    found["seconds"] = _seconds(step, repeats)
    found["launches_per_step"] = _launches(called)
    if engine == "sgd":
        found["seconds_per_step_graph_sgd"] = _seconds(_as_graph(step), repeats)
    return found


def _made(case: Case, setting: Setting) -> tuple[Any, Any, Any]:
    """A model, pictures and labels."""
    import torch

    torch.manual_seed(0)
    order = torch.channels_last if setting.channels_last else torch.contiguous_format
    model = model_of(case).to("cuda", memory_format=order).train()
    images = torch.randn(case.batch, 3, case.image_size, case.image_size, device="cuda").to(memory_format=order)
    if case.model == "linear_head":
        images = torch.randn(case.batch, 1024, device="cuda")
    labels = torch.randint(0, 9, (case.batch,), device="cuda")
    return model, images, labels


def _private(model: Any, images: Any, labels: Any, setting: Setting) -> tuple[Step, Step, dict[str, Any]]:
    """A step as a round takes it; the pass that it records, called; and what is known of its noise."""
    import torch

    from datasites.training.book_keeping import BookKeeping
    from datasites.training.dp_sgd.loader import Batch
    from datasites.training.dp_sgd.noise import NoisyOptimizer
    from datasites.training.dp_sgd.step_engine import StepEngine
    from datasites.training.dp_sgd.step_sums import CalledSums, RecordedSums
    from datasites.training.gpu.step import Recorder
    from datasites.training.randomness.randomness import SecureRandom

    recorder, random = Recorder(), SecureRandom()
    engine = StepEngine(BookKeeping(model, BOUND), "cuda", "bfloat16" if setting.bf16 else "float32")
    batch = Batch(images, labels, torch.ones(len(labels), dtype=torch.bool, device="cuda"))
    sums = RecordedSums(engine, recorder, batch)
    rate = torch.tensor(1e-3, device="cuda")
    optimizer = NoisyOptimizer(
        torch.optim.SGD(model.parameters(), lr=rate, fused=True),
        **PRIVACY,
        expected_batch=len(labels),
        random=random,
        after_noise=lambda: None,
        recorder=recorder,
    )
    noise = _noise_seconds(sum(parameter.numel() for parameter in model.parameters()))
    called = CalledSums(engine)
    return (
        lambda: optimizer.step_with(sums([batch])),
        lambda: called([batch]).clear(),
        {"noise": noise, "slower": recorder.slower},
    )


def _noise_seconds(count: int) -> float:
    """Seconds of the noise alone, with a key that has been used or not: it is made all the same.

    Several times in a row, since in a step it is a part of a recording, and nothing waits for its launch.
    """
    import torch

    from datasites.training.randomness.gaussian import key_on

    flat, noisy = torch.zeros(count, dtype=torch.float64, device="cuda"), torch.empty(count, device="cuda")
    key = key_on(flat.device)

    def repeated() -> None:
        for _ in range(_NOISES):
            key.add(flat, noisy)

    return _seconds(repeated, 9) / _NOISES


def _in_precision(step: Step, setting: Setting) -> Step:
    import torch

    def called() -> None:
        with torch.autocast("cuda", torch.bfloat16, enabled=setting.bf16):
            step()

    return called


def _as_graph(step: Step) -> Step:
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    graph.replay()
    replay: Step = graph.replay
    return replay


def _seconds(step: Callable[[], object], repeats: int) -> float:
    import torch

    times = []
    for _ in range(repeats + 1):
        torch.cuda.synchronize()
        started = time.perf_counter()
        step()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def _launches(step: Step) -> int | None:
    """How many kernels the device ran for a step."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        step()
        torch.cuda.synchronize()
    return sum(event.count for event in seen.key_averages() if event.self_device_time_total > 0) or None


def _compiled(cases: list[Case], setting: Setting) -> float:
    """Seconds in which processes beside each other ran one small private step of each case."""
    started, few = time.perf_counter(), min(_COMPILERS, os.cpu_count() or 1, len(cases))
    with ProcessPoolExecutor(few, mp_context=multiprocessing.get_context("spawn")) as pool:
        for case, error in zip(cases, pool.map(_compile, cases, [setting] * len(cases)), strict=True):
            if error:
                print(f"{case}: {error}", flush=True)
    return time.perf_counter() - started


def _compile(case: Case, setting: Setting) -> str | None:
    warnings.simplefilter("ignore")
    try:
        step, _, _ = _private(*_made(Case(case.model, case.image_size, _COMPILED_WITH), setting), setting)
        step()
    except (RuntimeError, NotImplementedError, ValueError, WanwuError) as error:
        return said(error)
    return None


def _hardware() -> str:
    import torch

    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        driver = "unknown"
    return f"{torch.cuda.get_device_name()}, driver {driver}, torch {torch.__version__}"
