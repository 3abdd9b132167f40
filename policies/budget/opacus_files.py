"""Opacus' accountants, executed from its own files without the rest of it. Sees numbers only, nothing of the data.

Their arithmetic needs numpy and scipy. Opacus' package imports torch before them, which takes seconds: whoever checks a
receipt would wait for it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from policies.budget import library_files

NAME = "opacus_files"
"""The package that the files are executed as."""


class _History:
    """What Opacus' accountants take from their common base, whose module is the one that imports torch."""

    def __init__(self) -> None:
        self.history: list[tuple[float, float, int]] = []


def prv() -> Any:
    """Opacus' module with the `PRVAccountant`."""
    return _module("prv")


def rdp() -> Any:
    """Opacus' module with `compute_rdp`."""
    return _module("analysis.rdp")


def _module(name: str) -> ModuleType:
    if f"{NAME}.accountant" not in sys.modules:
        base = ModuleType(f"{NAME}.accountant")
        base.IAccountant = _History  # type: ignore[attr-defined]
        sys.modules[f"{NAME}.accountant"] = base
    return library_files.module(f"{NAME}.{name}", library="opacus", packages=[f"{NAME}=accountants"])
