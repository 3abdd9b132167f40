"""Right before a run: the approval is checked once more, and the pictures on disk are those that were published."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.array_store import SourcePictures, ingest

from datasites.approvals.approval import Approval
from datasites.runs.last_check import LastCheck
from policies.errors import RequestAltered, RequestDenied, StoreBroken

RUN: Any = SimpleNamespace(request_id="r1", account="ab")


@pytest.fixture
def published(tmp_path: Path) -> Any:
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 1), dtype=np.uint8)
    source = SourcePictures(images, np.arange(60, dtype=np.int64) % 2, ("a", "b"), None)
    return SimpleNamespace(manifest=ingest(source, tmp_path / "cells", name="cells"), store=tmp_path / "cells")


def approval(published: Any, **changes: Any) -> Any:
    plan: Any = "plan"
    return replace(Approval("r1", "ab", plan, published, {}, {}), **changes)


@pytest.fixture
def check(published: Any) -> LastCheck:
    return LastCheck(lambda request_id: approval(published))


def rewrite(file: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(file, change(np.load(file)))


def test_an_approved_run_on_the_published_pictures_may_start(check: LastCheck, published: Any) -> None:
    assert check(RUN) == check(RUN) == approval(published)


def test_an_approval_that_does_not_hold_any_more_is_refused() -> None:
    def refuse(request_id: str) -> Any:
        raise RequestDenied(f"{request_id} is ended.")

    with pytest.raises(RequestDenied):
        LastCheck(refuse)(RUN)


@pytest.mark.parametrize("changes", [{"request_id": "r2"}, {"account": "cd"}])
def test_an_approval_of_something_else_is_refused(published: Any, changes: dict[str, str]) -> None:
    with pytest.raises(RequestAltered):
        LastCheck(lambda request_id: approval(published, **changes))(RUN)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("images.npy", lambda array: array ^ 1),
        ("labels.npy", lambda array: 1 - array),
        ("units.npy", lambda array: array[::-1].copy()),
    ],
)
def test_pictures_labels_or_units_that_changed_since_the_last_run_are_refused(
    check: LastCheck, published: Any, name: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    check(RUN)
    rewrite(published.store / name, change)
    with pytest.raises(StoreBroken):
        check(RUN)


def test_a_change_that_sets_the_files_time_back_is_seen(check: LastCheck, published: Any) -> None:
    check(RUN)
    file = published.store / "images.npy"
    before = file.stat()
    rewrite(file, lambda array: array ^ 1)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(StoreBroken):
        check(RUN)


def test_another_store_in_its_place_is_refused_though_it_is_whole(published: Any) -> None:
    smaller = SimpleNamespace(manifest=replace(published.manifest, public_size=50), store=published.store)
    with pytest.raises(StoreBroken, match="published"):
        LastCheck(lambda request_id: approval(smaller))(RUN)


@pytest.mark.parametrize("name", ["manifest.json", "images.npy", "units.npy"])
def test_a_store_that_lost_a_file_since_the_last_run_is_refused(check: LastCheck, published: Any, name: str) -> None:
    check(RUN)
    (published.store / name).unlink()
    with pytest.raises(StoreBroken):
        check(RUN)
