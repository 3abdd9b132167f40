"""How many pictures fit into memory."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from datasites.training.dp_sgd import memory
from datasites.training.dp_sgd.memory import bytes_of_forward, pictures_that_fit
from datasites.training.models import build_model, scattering_linear
from policies.plans.training import ModelSpec

SPEC = ModelSpec("small_cnn", (16, 16, 1), 3, {"width": 4})


def test_fewer_pictures_are_taken_where_less_memory_is_free(monkeypatch):
    model, images = build_model(SPEC), torch.empty(1, 1, 16, 16)
    each = bytes_of_forward(model, images)
    assert each > 4 * 16 * 16 * (1 + 4 + 4 + 4)  # pixels, and what the first three layers make of them
    for free, expected in ((None, 64), (10**12, 64), (0, 1), (100 * each, 20)):
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        assert pictures_that_fit(model, images, most=64) == expected


@pytest.mark.parametrize("name", ["small_cnn", "mobilenet_v3_small", "resnet18", "vit_small"])
def test_a_forward_pass_is_as_large_with_numbers_as_without(name):
    """On a processor it is run with numbers; on a GPU without."""
    model, images = build_model(ModelSpec(name, (32, 32, 3), 3)), torch.empty(1, 3, 32, 32)
    without = model.to("meta")
    assert bytes_of_forward(build_model(ModelSpec(name, (32, 32, 3), 3)), images) == bytes_of_forward(without, images)


def test_free_memory_is_what_the_machine_and_the_limit_leave():
    free = memory.free_bytes(torch.device("cpu"))
    assert free is not None and 0 < free < 1 << 50


def test_freed_memory_is_kept_for_the_next_step():
    """In a process of its own, since it holds for all of it: page faults of a step that has been taken before."""
    program = """
import resource, torch
from datasites.training.dp_sgd.memory import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(1 << 24).sum()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(min(faults() for _ in range(2)))
keep_freed_memory()
print(min(faults() for _ in range(8)))  # until small blocks have found places between the large ones
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found = [int(line) for line in done.stdout.split()]
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library is not glibc")
    assert found[1] * 10 < found[0]


def test_what_a_process_computes_once_is_not_counted_with_a_picture() -> None:
    """Else the first round of a process would have other batches than those after it, and fewer pictures in each."""
    model, images = build_model(ModelSpec("scattering_linear", (32, 32, 1), 2)), torch.zeros(2, 1, 32, 32)
    scattering_linear._fitted.cache_clear()
    first = bytes_of_forward(model, images)
    assert first == bytes_of_forward(model, images) > 0
