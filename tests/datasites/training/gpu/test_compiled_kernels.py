"""The product kernels as they are compiled for GPUs, which need not be there for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "support" / "compiled_kernels.py"
# What a program may take of a multiprocessor's shared memory, by the capability that it is compiled for; of 8.0 what
# 8.6 and 8.9 have, which run the same.
SHARED = {80: 99 * 1024, 90: 227 * 1024, 100: 227 * 1024, 120: 99 * 1024}
LITTLE = 128  # bytes of a thread that leave its registers


def compiled(folder: Path, *settings: str) -> list[dict[str, Any]]:
    command = [sys.executable, PROGRAM, folder, *settings]
    found: list[dict[str, Any]] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return compiled(tmp_path_factory.mktemp("kernels"))


def test_every_kernel_multiplies_on_tensor_cores_and_finds_room_in_shared_memory(
    kernels: list[dict[str, Any]],
) -> None:
    assert len(kernels) == 30
    assert {row["products"] for row in kernels} == {0, 1, 2}
    assert not [row for row in kernels if row["on_tensor_cores"] == 0 or row["shared"] > SHARED[row["capability"]]]
    assert not [row for row in kernels if row["stack"] > LITTLE]


@pytest.mark.slow
def test_tiles_of_all_sizes_find_room_on_cards_with_the_least_of_it(tmp_path: Path) -> None:
    kernels = compiled(tmp_path, "many")
    assert len(kernels) > 50 and {row["capability"] for row in kernels} == {80, 120}
    assert not [row for row in kernels if row["on_tensor_cores"] == 0 or row["shared"] > SHARED[row["capability"]]]
    assert not [row for row in kernels if row["stack"] > LITTLE]


def test_on_hopper_nothing_leaves_the_registers_and_loads_go_on_beside_products(kernels: list[dict[str, Any]]) -> None:
    hopper = [row for row in kernels if row["capability"] == 90]
    assert not [row for row in hopper if row["stack"] > 0]
    waiting = [(row["layer"], row["mode"]) for row in hopper if row["loads_beside"] == 0]
    assert waiting == [("a block and a tail", "write")]  # which leaves the written tile its room


def test_a_sum_takes_one_operation_for_each_number_of_a_tile(kernels: list[dict[str, Any]]) -> None:
    sums = [row for row in kernels if row["mode"] == "sum" and row["capability"] < 100]  # later ones choose each
    assert sums
    assert not [row for row in sums if row["chosen"] > 2]  # numbers that are chosen one by one
