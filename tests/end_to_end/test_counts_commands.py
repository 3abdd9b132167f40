"""`statistics` and `evaluate --at_hospitals` as a researcher types them, while the hospitals decide."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from support.hospitals import CLASSES, Hospital, command, draw_pictures, requests_of
from support.waiting import wait_for

NOISE = "3"


def _ask(hospitals: dict[str, Hospital], out: Path, *arguments: str | Path) -> str:
    """Types a command, approves at both hospitals what it submits, and returns what it prints."""
    credentials = [hospital.credentials() for hospital in hospitals.values()]
    given = ("--noise_multiplier", NOISE, "--out", out, "--credentials", *credentials)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(command, "-m", "researcher", *arguments, *given)
        requests = wait_for(lambda: {"asked": "already"} if asked.done() else requests_of(out, len(hospitals)))
        if not asked.done():
            for name, request_id in requests.items():
                hospitals[name].admin("approve", request_id)
        return asked.result().stdout


def _released(file: Path) -> tuple[dict[str, dict[str, np.ndarray]], float]:
    values = json.loads(file.read_text())
    assert set(values["epsilon"]) == {"north", "south"} and min(values["epsilon"].values()) > 0
    arrays = {name: {key: np.array(one) for key, one in held.items()} for name, held in values["released"].items()}
    return arrays, values["noise_std"]


def test_statistics_prints_and_keeps_each_hospitals_noised_counts(pair: dict[str, Hospital], tmp_path: Path) -> None:
    out = tmp_path / "statistics"
    printed = _ask(pair, out, "statistics", "--study", "counted")
    assert all(word in printed for word in ("north", "south", *CLASSES, "channel mean"))
    arrays, noise = _released(out / "statistics.json")
    for seed, name in enumerate(("north", "south")):
        true = np.bincount(draw_pictures(150, seed)[1], minlength=2)
        assert np.abs(arrays[name]["class_counts"] - true).max() < 6 * noise


def test_a_saved_model_is_scored_on_the_hospitals_own_pictures(pair: dict[str, Hospital], tmp_path: Path) -> None:
    from datasites.training.models import initial_weights
    from policies.plans.training import ModelSpec
    from researcher.studies.checkpoints import Checkpoint, save_model

    spec = ModelSpec("linear", (16, 16, 1), 2)
    bright = {**initial_weights(spec, 0), "head.bias": np.array([-1e6, 1e6], np.float32)}
    saved = save_model(tmp_path / "bright.safetensors", Checkpoint(bright, spec, 1, CLASSES, "0" * 64, {}))
    out = tmp_path / "evaluation"
    printed = _ask(pair, out, "evaluate", saved, "--at_hospitals", "--study", "scored")
    assert all(word in printed for word in ("north", "south", "all together", "AUROC", "recall"))
    arrays, noise = _released(out / "evaluation.json")
    for seed, name in enumerate(("north", "south")):
        dark, bright_ones = np.bincount(draw_pictures(150, seed)[1], minlength=2)
        expected = np.array([[0, dark], [0, bright_ones]])
        assert np.abs(arrays[name]["confusion"] - expected).max() < 6 * noise
