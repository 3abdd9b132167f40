"""The requirements of the kernels on a machine, told without torch."""

from __future__ import annotations

import importlib.util
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path

LEAST_FOR_TORCH = (7, 5)
"""The compute capability of the oldest GPUs that the pinned torch has code for."""
_LEAST_CAPABILITY = (8, 0)  # of a GPU whose tensor cores take bfloat16
_COMPILERS = ("cc", "gcc", "clang")


class KernelMissing(RuntimeError):
    """A kernel, or what launches it, was not compiled before, and this process compiles none."""


@dataclass(frozen=True)
class Lack:
    """What keeps a GPU from computing with the kernels: torch's operations do the same there, more slowly.

    Attributes:
        what: Is missing.
        remedy: What to do.
    """

    what: str
    remedy: str


def lack(capability: tuple[int, int], *, compiles: bool = True) -> Lack | None:
    """Returns what this machine lacks for the kernels, None if it has all of it.

    Args:
        capability: Of the GPU, major and minor, as NVIDIA counts.
        compiles: Whether kernels are compiled, and not all taken from where they were compiled before.
    """
    if capability < _LEAST_CAPABILITY:
        least = ".".join(str(part) for part in _LEAST_CAPABILITY)
        return Lack(f"its compute capability is below {least}", "A newer GPU trains several times as fast.")
    if importlib.util.find_spec("triton") is None:
        return Lack("Triton is not installed", "Install the package 'triton' in the version of requirements.txt.")
    if compiles and not any(shutil.which(name) for name in _COMPILERS):
        return Lack("Triton finds no C compiler", "Install gcc and the headers of Python ('gcc', 'python3-dev').")
    if compiles and not _has_headers():
        return Lack("Python's headers are not there, so Triton builds nothing", "Install them ('python3-dev').")
    return None


def _has_headers() -> bool:
    schemes = {"posix_prefix", sysconfig.get_default_scheme()}
    return any(Path(sysconfig.get_paths(scheme)["include"], "Python.h").is_file() for scheme in schemes)
