"""The hospital's store of compiled kernels: what it keeps, what it refuses, what goes; and by which key."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datasites.runs.gpus import Gpu
from datasites.runs.kernels import kernel_key as keys
from datasites.runs.kernels import kernel_store
from datasites.runs.kernels.kernel_key import has_kernels, kernel_key
from datasites.runs.kernels.kernel_store import MOST_UNUSED_SECONDS, KernelsRefused, KernelStore
from policies.plans.releases import ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
SPEC = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
PLAN = TrainingPlan("study", "d", SPEC, 2, 1, 0.5, 0.1, privacy=PrivacySpec(1.0, 0.5, 1e-5))
GPUS = (Gpu(0, "GPU-00"), Gpu(1, "GPU-01"))


def made(folder: Path, **files: bytes) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_set_is_copied_and_nobody_may_write_to_it(tmp_path: Path) -> None:
    store, source = KernelStore(tmp_path / "kernels"), made(tmp_path / "made", a=b"kernel", b=b"launcher")
    held = store.keep(ONE, source)
    assert store.find(ONE) == held and store.find(TWO) is None
    (source / "a").write_bytes(b"changed afterwards")
    assert {file.name: file.read_bytes() for file in held.iterdir()} == {"a": b"kernel", "b": b"launcher"}
    assert oct(held.stat().st_mode)[-3:] == "555"
    assert {oct(file.stat().st_mode)[-3:] for file in held.iterdir()} == {"444"}
    assert oct(store.folder.stat().st_mode)[-3:] == "700"


def change(held: Path) -> None:
    (held / "a").chmod(0o600)
    (held / "a").write_bytes(b"Kernel")


def cut_off(held: Path) -> None:
    (held / "a").chmod(0o600)
    (held / "a").write_bytes(b"")


def add(held: Path) -> None:
    held.chmod(0o700)
    (held / "c").write_bytes(b"planted")


def remove(held: Path) -> None:
    held.chmod(0o700)
    (held / "a").unlink()


def forget_digests(held: Path) -> None:
    (held.parent / "digests.json").unlink()


def spoil_digests(held: Path) -> None:
    (held.parent / "digests.json").write_text("[1, 2]")


@pytest.mark.parametrize("spoil", [change, cut_off, add, remove, forget_digests, spoil_digests])
def test_a_set_that_is_not_as_it_was_kept_is_removed(tmp_path: Path, spoil: Any) -> None:
    store = KernelStore(tmp_path / "kernels")
    spoil(store.keep(ONE, made(tmp_path / "made", a=b"kernel", b=b"launcher")))
    assert store.find(ONE) is None
    assert store.sets() == []


def test_nothing_but_plain_files_within_bounds_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KernelStore(tmp_path / "kernels")
    monkeypatch.setattr(kernel_store, "MOST_SET_BYTES", 10)
    monkeypatch.setattr(kernel_store, "MOST_SET_FILES", 2)
    (secret := tmp_path / "secret").write_text("x")
    refused = {
        "nothing": made(tmp_path / "nothing"),
        "large": made(tmp_path / "large", a=bytes(11)),
        "together": made(tmp_path / "together", a=bytes(6), b=bytes(5)),
        "many": made(tmp_path / "many", a=b"", b=b"", c=b""),
        "hidden": made(tmp_path / "hidden", **{".a": b""}),
        "link": made(tmp_path / "link"),
        "pipe": made(tmp_path / "pipe"),
        "folder": made(tmp_path / "folder"),
    }
    (refused["link"] / "a").symlink_to(secret)
    os.mkfifo(refused["pipe"] / "a")
    (refused["folder"] / "a").mkdir()
    for name, source in refused.items():
        with pytest.raises((KernelsRefused, OSError)):
            store.keep(ONE, source)
        assert list(store.folder.iterdir()) == [], name
    with pytest.raises(ValueError, match="64"):
        store.find("../../etc")


def test_what_nobody_needed_for_long_goes_and_then_the_oldest(tmp_path: Path) -> None:
    clock = [1_000_000.0]
    store = KernelStore(tmp_path / "kernels", most_bytes=500, now=lambda: clock[0])
    for number, key in enumerate((ONE, TWO)):
        clock[0] += 10
        store.keep(key, made(tmp_path / str(number), a=bytes(100)))
    clock[0] += 10
    assert store.find(ONE), "and so it was needed last"
    clock[0] += 10
    store.keep(THREE, made(tmp_path / "three", a=bytes(200)))
    assert {one.name for one in store.sets()} == {ONE, THREE}
    clock[0] += MOST_UNUSED_SECONDS - 5
    assert store.find(THREE)
    store.trim()
    assert [one.name for one in store.sets()] == [THREE]


def test_what_was_left_half_made_goes_at_the_next_start(tmp_path: Path) -> None:
    store = KernelStore(tmp_path / "kernels")
    store.clear_rooms()
    with store.room() as room:
        (room / "files").mkdir()
        (room / "files").chmod(0o500)
        store.clear_rooms()
        assert not room.exists()


def test_a_key_hangs_on_what_kernels_hang_on_and_on_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "driver"
    for minor, model in enumerate(("NVIDIA H200", "NVIDIA A100")):
        (driver / "gpus" / str(minor)).mkdir(parents=True)
        (driver / "gpus" / str(minor) / "information").write_text(f"Model: \t {model}\nDevice Minor: \t {minor}\n")
    (driver / "version").write_text("580.1")

    def key(plan: TrainingPlan = PLAN, gpus: tuple[Gpu, ...] = GPUS[:1]) -> str:
        return kernel_key(plan, gpus, driver=driver)

    same = [
        replace(PLAN, study="other", rounds=9, learning_rate=1.0, sample_rate=0.1),
        replace(PLAN, run=replace(PLAN.run, physical_batch_size=7, timeout_seconds=60)),
        replace(PLAN, privacy=PrivacySpec(2.0, 1.0, 1e-6)),
    ]
    assert {key(plan) for plan in same} == {key()}
    others = [
        replace(PLAN, model=replace(SPEC, options={"width": 8})),
        replace(PLAN, model=replace(SPEC, image_shape=(32, 32, 1))),
        replace(PLAN, run=replace(PLAN.run, precision="bfloat16")),
        replace(PLAN, run=replace(PLAN.run, engine="opacus")),
        replace(PLAN, augmentation="flips", augmentation_multiplicity=2),
    ]
    found = {key(), *map(key, others), key(gpus=GPUS[1:])}
    assert len(found) == len(others) + 2
    (driver / "version").write_text("590.1")
    assert key() not in found
    monkeypatch.setattr(keys, "_sources", lambda: "another release")
    assert key() not in {*found, kernel_key(PLAN, GPUS[:1], driver=tmp_path)}


def test_private_training_on_a_gpu_has_kernels_and_nothing_else_has() -> None:
    assert has_kernels(PLAN, GPUS)
    assert not has_kernels(PLAN, ())
    assert not has_kernels(replace(PLAN, privacy=None), GPUS)
    assert not has_kernels(replace(PLAN, run=RunSpec("cpu")), GPUS)
    assert not has_kernels(StatisticsPlan("study", "d", (16, 16, 1), 2, ReleaseSpec(10.0, 1e-5)), GPUS)
