"""The doctor looks at a real Slurm: its programs, the partition, and whether a step could be closed in on its node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.slurm import Cluster
from support.slurm import cluster as slurm_cluster

from datasites.config import DatasiteConfig
from datasites.doctor import cluster, machine
from datasites.doctor.examination import examine
from datasites.doctor.finding import OK, PROBLEM, WARNING, ExaminedDatasite, Finding
from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from datasites.runs.sandbox.confinement import sandbox_report

LACKING = [piece for piece in sandbox_report() if piece.required and not piece.present]


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    with slurm_cluster() as made:
        yield made


def findings(state: StateFolder, **settings: str | int) -> list[Finding]:
    config = DatasiteConfig.from_toml(state.config)
    chosen = {"runs_on": "slurm", "runs_per_gpu": 0, "memory_bytes_per_run": 1 << 30, **settings}
    write_private(state.config, replace(config, **chosen).to_toml())  # type: ignore[arg-type]
    for folder in (state.store, state.blobs, state.scratch):
        folder.mkdir(exist_ok=True)
    return list(examine(ExaminedDatasite(state), (cluster.slurm,)))


def test_a_datasite_without_a_cluster_is_told_nothing_of_one(state: StateFolder) -> None:
    assert list(examine(ExaminedDatasite(state), (cluster.slurm,))) == []


@pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {LACKING}")
def test_a_cluster_that_takes_runs_passes_with_its_version(running: Cluster, state: StateFolder) -> None:
    found = findings(state)
    assert [one.level for one in found] == [OK, OK, OK], found
    assert found[0].text.startswith("slurm") and "can be closed in" in found[2].text
    assert not any("kernels" in one.text for one in found)  # without a GPU there is none to miss
    assert list(examine(ExaminedDatasite(state), (machine.sandbox, machine.gpu))) == []


def test_a_partition_that_is_not_there_is_named(running: Cluster, state: StateFolder) -> None:
    (last,) = findings(state, slurm_partition="nowhere")[1:]
    assert last.level == PROBLEM and "Slurm has no partition 'nowhere'." in last.text


def test_a_partition_that_is_down_and_one_that_is_too_short_are_told(running: Cluster, state: StateFolder) -> None:
    (down,) = findings(state, slurm_partition="down")[1:]
    assert down.level == PROBLEM and "is down" in down.text
    short = findings(state, slurm_partition="short")[1]
    assert short.level == WARNING and "gives a job 2 minutes" in short.text


def test_what_a_node_does_not_see_or_give_is_told(
    running: Cluster, state: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.blobs.rename(tmp_path / "blobs")
    monkeypatch.setattr(StateFolder, "blobs", state.path / "nowhere")
    monkeypatch.setattr(Path, "mkdir", lambda self, **options: None)
    found = findings(state, runs_per_gpu=1)
    told = [one.text for one in found if one.level == PROBLEM]
    assert any("does not see" in text and "nowhere" in text for text in told)
    assert any("a run is to have 1 GPUs and can open" in text for text in told)
    (slower,) = [one.text for one in found if "kernels" in one.text]
    assert "each step makes gradients and noise more slowly, with the same results" in slower


def test_programs_that_are_not_there_are_told(state: StateFolder) -> None:
    (only,) = findings(state, slurm_programs="/nonexistent")
    assert only.level == PROBLEM and "srun is not in /nonexistent" in only.text


def test_a_cluster_that_does_not_answer_is_told(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("srun", "scontrol"):
        (tmp_path / name).write_text("#!/bin/sh\necho no controller is up >&2\nexit 1\n")
        (tmp_path / name).chmod(0o700)
    last = findings(state, slurm_programs=str(tmp_path), slurm_partition="gpu")[-1]
    assert last.level == PROBLEM and "no controller is up" in last.text
