"""How many pictures a second a whole round trains, beside its bare step: what reading, changing and waiting cost.

For `dp_engine.py --round`. A round's pictures lie in a memory map, are drawn as in any round, and are changed by the
largest augmentation. The bare step computes as many batches of the same size, of made-up pictures that lie on the
device already, with the same noise and optimiser.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from dataclasses import replace
from typing import Any

from dp_engine import CLASSES, LEARNING_RATE, PRIVACY, Case, Setting

_BATCHES = 16  # that the expected draw of a step fills
_RATE = 0.25
_WARM_STEPS = 2  # on a GPU the first one is called and the second one recorded
_TIMED_STEPS = {"cpu": 3, "cuda": 8}


def round_fields(case: Case, setting: Setting) -> dict[str, float]:
    """What a round and its bare step reach; nothing of a model that takes no pictures, or in another memory format.

    Args:
        case: Its batch is the most places of a batch.
        setting: Where and how.
    """
    if case.model == "linear_head" or setting.channels_last:
        return {}
    import torch

    from datasites.training.dp_sgd.memory import keep_freed_memory
    from datasites.training.local_round import prepare_training
    from datasites.training.models import initial_weights

    keep_freed_memory()  # as runs do
    torch.set_num_threads(setting.threads)
    warnings.simplefilter("ignore")
    timed, size = _TIMED_STEPS[setting.device], int(_BATCHES * case.batch / _RATE)
    plan = _plan(case, setting, steps=_WARM_STEPS + timed)
    started = time.perf_counter()
    prepared = prepare_training(plan, 0, initial_weights(plan.model, 0), public_size=size)
    prepared_in = time.perf_counter() - started
    shape, expected = prepared.private.shape, plan.sample_rate * size
    bare = shape.places * shape.batches / _bare_seconds(prepared, setting, timed)
    whole, seconds = _round_seconds(prepared, case, size, setting)
    drawn = timed * expected / seconds
    empty = 1 - expected / (shape.places * shape.batches)
    return {
        "bare_images_per_second": round(bare, 1),
        "round_images_per_second": round(drawn, 1),
        "round_share_of_bare_step": round(drawn / bare, 3),
        "round_empty_places": round(empty, 3),
        "round_computed_share": round(drawn / (1 - empty) / bare, 3),
        "round_whole_seconds": round(whole, 3),
        "round_prepared_seconds": round(prepared_in, 3),
    }


def _plan(case: Case, setting: Setting, *, steps: int) -> Any:
    from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

    precision = "bfloat16" if setting.bf16 else "float32"
    return TrainingPlan(
        "s",
        "d",
        ModelSpec(case.model, (case.image_size, case.image_size, 3), CLASSES),
        1,
        steps,
        _RATE,
        LEARNING_RATE,
        augmentation="flips_and_turns",
        privacy=PrivacySpec(PRIVACY["noise_multiplier"], PRIVACY["max_grad_norm"], 1e-5),
        run=RunSpec("cpu" if setting.device == "cpu" else "auto", physical_batch_size=case.batch, precision=precision),
    )


def _bare_seconds(prepared: Any, setting: Setting, repeats: int) -> float:
    """Seconds of a step of which every batch is the same one, on the device."""
    import torch

    from datasites.training.dp_sgd.noise import NoisyOptimizer
    from datasites.training.dp_sgd.private_step import recorder_on
    from datasites.training.dp_sgd.self_check import made_up_batch
    from datasites.training.randomness.randomness import SecureRandom

    shape, device = prepared.private.shape, setting.device
    batch = made_up_batch(prepared.plan.model, shape.places, 1, device, number=0)
    on_gpu = device == "cuda"
    rate = torch.tensor(LEARNING_RATE, device=device) if on_gpu else LEARNING_RATE
    optimizer = NoisyOptimizer(
        torch.optim.SGD(prepared.model.parameters(), lr=rate, fused=on_gpu or None),
        **PRIVACY,
        expected_batch=shape.places * shape.batches,
        random=SecureRandom(),
        after_noise=lambda: None,
        recorder=recorder_on(device, lambda name: None),
    )
    times = []
    for _ in range(_WARM_STEPS + repeats):
        started = _now(device)
        optimizer.step_with(prepared.private.sums([batch] * shape.batches))
        times.append(_now(device) - started)
    return statistics.median(times[_WARM_STEPS:])


def _round_seconds(prepared: Any, case: Case, size: int, setting: Setting) -> tuple[float, float]:
    """Seconds of the training of a whole round, and how many more those are than of one that is short of its last
    steps: both end with weights that are read, so the device is done."""
    import numpy as np

    from datasites.training.pictures.data import LabelledPictures

    rng = np.random.default_rng(0)
    short = replace(prepared, plan=replace(prepared.plan, steps_per_round=_WARM_STEPS))
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        shape = (size, case.image_size, case.image_size, 3)
        stored = np.lib.format.open_memmap(file.name, mode="w+", dtype=np.uint8, shape=shape)
        for start in range(0, size, case.batch):
            stored[start : start + case.batch] = rng.integers(0, 256, (case.batch, *shape[1:]), dtype=np.uint8)
        del stored
        stored = np.load(file.name, mmap_mode="r")
        pictures = LabelledPictures(stored, rng.integers(0, CLASSES, size), np.arange(size), size)
        seconds = []
        for one in (short, short, prepared):  # the first one has the store's pages mapped
            started = _now(setting.device)
            one.train(pictures)
            seconds.append(_now(setting.device) - started)
    return seconds[2], seconds[2] - seconds[1]


def _now(device: str) -> float:
    """Processor seconds of this process on a CPU, seconds on the clock on a GPU, as all of the benchmark's times."""
    if device == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def told(row: dict[str, Any]) -> str:
    """What `dp_engine` prints of these fields."""
    if "round_share_of_bare_step" not in row:
        return ""
    return (
        f"  a round {row['round_images_per_second']:.0f} pictures/s, {row['round_share_of_bare_step']:.2f} of the bare "
        f"step's, {row['round_computed_share']:.2f} with its empty places"
    )
