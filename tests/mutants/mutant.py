"""One way of being broken, and how functions of the trainer are replaced for a while."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import datasites.training
from policies.plans.training import ENGINES

Patch = Any  # pytest.MonkeyPatch


@dataclass(frozen=True)
class Mutant:
    """A fault of the trainer.

    Attributes:
        name: What is wrong, in a few words.
        part: The part of the audit that is expected to find it.
        build_in: Replaces what it has to, until the patch is undone.
        engines: Which engines can have it.
    """

    name: str
    part: str
    build_in: Callable[[Patch], None]
    engines: tuple[str, ...] = ENGINES


def everywhere(patch: Patch, function: Any, by: Any) -> None:
    """Replaces a function or class under each name by which the trainer's modules know it."""
    for info in pkgutil.walk_packages(datasites.training.__path__, "datasites.training."):
        if ".models." not in info.name:
            importlib.import_module(info.name)
    found = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("datasites.training"):
            for attribute, value in list(vars(module).items()):
                if value is function:
                    patch.setattr(module, attribute, by)
                    found += 1
    assert found, f"{function!r} is used nowhere"
