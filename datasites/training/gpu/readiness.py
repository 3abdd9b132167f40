"""The choice between this room's kernels and torch's operations, which do the same more slowly, for a device."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache

import torch

from datasites.training.gpu.requirements import KernelMissing, lack


def kernels_run_on(device: torch.device) -> bool:
    """Whether an engine may use the kernels. Compiles and tries them where that was not done in this process.

    Args:
        device: Where the engine computes.
    """
    return device.type == "cuda" and why_not(device.index or 0) is None


def why_not(index: int) -> str | None:
    """What keeps a GPU from computing with the kernels, and what to do; None if nothing does.

    Guarantees:
        With None, on this GPU and in this process, the kernels' norms were those of what they sum, bit by bit.

    Args:
        index: Of the GPU, as torch counts.
    """
    return _given_up.get(index) or _found(index)


def do_without(device: torch.device, why: str) -> None:
    """Leaves a GPU to torch's operations from here on, for as long as this process lives.

    Args:
        device: The GPU.
        why: For those who read `why_not`.
    """
    _given_up[device.index or 0] = why


_given_up: dict[int, str] = {}  # by the number of a GPU: why this process does without the kernels there


@cache
def _found(index: int) -> str | None:
    if torch.version.hip is not None:
        return "The kernels are for NVIDIA's GPUs."
    missing = lack(torch.cuda.get_device_capability(index), compiles=not _are_compiled())
    if missing is not None:
        return f"The kernels do not run: {missing.what}. {missing.remedy}"
    try:
        return importlib.import_module("datasites.training.gpu.self_test").fault(torch.device("cuda", index))
    except KernelMissing:
        return "The kernels were not compiled before the run was closed in. See the doctor, and the hospital's log."
    except Exception as error:  # noqa: BLE001 - whatever a compiler or a driver says, torch's operations remain
        return f"The kernels do not run ({type(error).__name__}). Look at the C compiler and the GPU's driver."


def _are_compiled() -> bool:
    """Whether this process takes kernels that were compiled before, and compiles none."""
    if importlib.util.find_spec("triton") is None:
        return False
    return bool(importlib.import_module("datasites.training.gpu.kernel_cache").compiles_none())
