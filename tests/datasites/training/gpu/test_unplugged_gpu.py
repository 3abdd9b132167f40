"""Whole private steps on a GPU that is not there: nothing is on the wrong device, waits, or is launched per picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.unplugged_gpu import PICTURES, rows

SOME = [
    "small_cnn 28 float32 kernels 2",
    "small_cnn 28 bfloat16 torch 1",
    "image_text 16 bfloat16 kernels 1",
    "own: 16 float32 torch 2",
    "own:9 8 float32 torch 1",
    "small:reads-two-tables 8 float32 kernels 1",
]
MODELS = [
    "efficientnet_lite0",
    "linear",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "resnet18",
    "resnet50",
    "vit_small",
]
MANY = [
    f"{model} {side} {precision} {way} {views}"
    for model in [*MODELS, *(f"own:{seed}" for seed in range(8))]
    for side, precision, way, views in [
        (28, "bfloat16", "kernels", 2),
        (64, "float32", "kernels", 1),
        (28, "float32", "torch", 1),
    ]
]


FAULTS = {
    "meets-the-processor": "two devices",
    "asks": "_local_scalar_dense",
    "brings": "aten._to_copy.default at",
    "one-by-one": "aten.mul.Tensor: 64 more",
}


def faults(case: str, few: dict[str, Any], many: dict[str, Any]) -> list[str]:
    """What is wrong with a model's steps, with few pictures and with many."""
    assert (few["case"], few["pictures"]) == (many["case"], PICTURES[0]) == (case, PICTURES[0])
    more = many["pictures"] - few["pictures"]
    grown = {name: count - few["calls"].get(name, 0) for name, count in many["calls"].items()}
    grown["kernels"] = many["launches"] - few["launches"]
    found = [few["refused"], *few["waits"], *(f"{name}: {by} more" for name, by in grown.items() if by >= more)]
    if not few["refused"] and (many["launches"] > 0) != ("kernels" in case):
        found.append("kernels were launched or were not")
    return [fault for fault in found if fault]


def of_cases(folder: Path, cases: list[str]) -> dict[str, list[str]]:
    found = rows(folder, *cases)
    return {case: faults(case, *found[2 * i : 2 * i + 2]) for i, case in enumerate(cases)}


def test_steps_of_some_models_keep_to_the_device_and_what_does_not_is_found(tmp_path: Path) -> None:
    wrong = {f"small:{word} 8 float32 kernels 1": told for word, told in FAULTS.items()}
    found = of_cases(tmp_path, [*SOME, *wrong])
    assert {case: found[case] for case in SOME} == {case: [] for case in SOME}
    assert [case for case, told in wrong.items() if not any(told in fault for fault in found[case])] == [], found


@pytest.mark.slow
def test_steps_of_every_model_keep_to_the_device(tmp_path: Path) -> None:
    assert of_cases(tmp_path, MANY) == {case: [] for case in MANY}
