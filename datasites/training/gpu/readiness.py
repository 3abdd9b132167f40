"""The choice between this room's kernels and torch's operations, which do the same more slowly, for a device."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from functools import cache

import torch

_LEAST_CAPABILITY = (8, 0)  # bfloat16 on tensor cores


def kernels_run_on(device: torch.device) -> bool:
    """Whether an engine may use the kernels. Compiles and tries them where that was not done in this process.

    Args:
        device: Where the engine computes.
    """
    return device.type == "cuda" and why_not(device.index or 0) is None


@cache
def why_not(index: int) -> str | None:
    """What keeps a GPU from computing with the kernels, and what to do; None if nothing does.

    Guarantees:
        With None, on this GPU and in this process, the kernels' norms were those of what they sum, bit by bit.

    Args:
        index: Of the GPU, as torch counts.
    """
    missing = what_is_missing(index)
    if missing is not None:
        return missing
    try:
        return importlib.import_module("datasites.training.gpu.self_test").fault(torch.device("cuda", index))
    except Exception as error:  # noqa: BLE001 - whatever a compiler or a driver says, torch's operations remain
        return f"The kernels do not run here ({type(error).__name__}). Look at the compiler and the GPU's driver."


def what_is_missing(index: int) -> str | None:
    """What the kernels need and this machine lacks, without trying them.

    Args:
        index: Of the GPU, as torch counts.
    """
    if torch.version.hip is not None:
        return "The kernels are for NVIDIA's GPUs."
    if torch.cuda.get_device_capability(index) < _LEAST_CAPABILITY:
        return "The kernels need a GPU of compute capability 8.0 or newer."
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed. Install the package 'triton' of the version in requirements.txt."
    if not any(shutil.which(name) for name in ("cc", "gcc", "clang")):
        return "Triton finds no C compiler. Install 'gcc' and Python's headers ('python3-dev')."
    return None
