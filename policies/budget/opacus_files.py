"""Opacus' accountants, executed from its own files without the rest of it. Sees numbers only, nothing of the data.

Their arithmetic needs numpy and scipy. Opacus' package imports torch before them, which takes seconds: whoever checks a
receipt would wait for it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

NAME = "opacus_files"
"""The package that the files are executed as."""
_executing = threading.Lock()


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


@lru_cache
def _module(name: str) -> ModuleType:
    with _executing:
        if NAME not in sys.modules:
            sys.modules[f"{NAME}.accountant"] = base = ModuleType(f"{NAME}.accountant")
            base.IAccountant = _History  # type: ignore[attr-defined]
            sys.modules[NAME] = package = ModuleType(NAME)
            package.__path__ = [str(_folder())]
        return importlib.import_module(f"{NAME}.{name}")


def _folder() -> Path:
    opacus = importlib.util.find_spec("opacus")
    if opacus is None or opacus.origin is None:
        raise ModuleNotFoundError("No module named 'opacus'", name="opacus")
    return Path(opacus.origin).parent / "accountants"
