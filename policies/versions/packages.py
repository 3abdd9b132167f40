"""Packages on the two sides, and which of their differences matter."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import policies
from policies.versions.releases import Release, is_too_old

PACKAGES = ("torch", "opacus", "syft")


@dataclass(frozen=True)
class Mismatch:
    """One package whose versions differ. `refused` says whether the two sides can work together at all."""

    package: str
    here: str
    there: str
    refused: bool

    def __str__(self) -> str:
        return f"{self.package} {self.here} here, {self.there} there"


@cache
def installed() -> Mapping[str, str]:
    """Package → version on this side; also `python` and `wanwu`."""
    found = {"wanwu": policies.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


def compare(here: Mapping[str, str], there: Mapping[str, str]) -> list[Mismatch]:
    """The differences that matter, refusals first.

    Refused: a wanwu older than this one works with, another syft (its objects differ), another major version of torch.
    Worth a warning: another minor version of python or torch, another opacus.
    """
    rules = {"syft": (3, 3), "torch": (1, 2), "python": (1, 2), "opacus": (1, 3)}
    mismatches = []
    if is_too_old(Release.parse(there.get("wanwu", ""))):
        mismatches.append(Mismatch("wanwu", here.get("wanwu", "missing"), there.get("wanwu", "missing"), True))
    for package, (refuse_at, warn_at) in rules.items():
        mine, theirs = here.get(package, "missing"), there.get(package, "missing")
        if _head(mine, warn_at) == _head(theirs, warn_at):
            continue
        refused = _head(mine, refuse_at) != _head(theirs, refuse_at)
        mismatches.append(Mismatch(package, mine, theirs, refused))
    return sorted(mismatches, key=lambda mismatch: not mismatch.refused)


def _head(version: str, parts: int) -> tuple[str, ...]:
    return tuple(version.split("+")[0].split(".")[:parts])
