"""Rounds on the mock in real processes: what is measured, how they fail, and what they can never read."""

from __future__ import annotations

import shutil
import sys
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from support.array_store import SourcePictures, ingest
from support.hospitals import draw_pictures
from support.nursery import fork_servers_are_born
from support.rehearsed_runs import HELD, PROGRAM

from datasites.assets import mock_store
from datasites.assets.mock import make_mock
from datasites.assets.mock_store import is_mock, write_mock_store
from datasites.assets.store import open_store
from datasites.rehearsal import mock_round
from datasites.rehearsal.mock_round import Asked, MockRounds, Seen
from datasites.runs.enclosure import Enclosure
from datasites.runs.processes.job import Job
from datasites.runs.processes.kernels.ready_kernels import ReadyKernels
from datasites.runs.processes.process import ForkServer
from datasites.runs.sandbox.limits import RunLimits
from datasites.training.models import initial_weights, trainable_shapes
from policies.answers.hospital import DatasetSchema
from policies.answers.rehearsals import MAX_LINE, MAX_LINES
from policies.contracts.outputs import release_update, take_update
from policies.contracts.weights import canonical_bytes
from policies.errors import DiskFull, OutputRefused, RunCancelled, RunFailed
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.server.local_part import shared
from policies.plans.tokeniser import TextForm
from policies.plans.training import ModelSpec, PrivacySpec, ServerSpec, TrainingPlan

SPEC = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
PLAN = TrainingPlan("study", "d", SPEC, 36, 100, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
SHAPES = {name: values.shape for name, values in initial_weights(SPEC, 0).items()}
SCHEMA = DatasetSchema("d", ("dark", "bright"), (16, 16, 1), "picture", 600, 2)
LIMITS = RunLimits(1 << 30, 60, 60, 64, 1 << 20)


@dataclass
class Machine:
    """A fork server and what rounds on the mock need besides; `folder` is where they lie."""

    folder: Path
    fork_server: ForkServer
    enclosure: Enclosure
    rounds: MockRounds

    def run(self, asked: Asked, seen: Seen | None = None, *, given_up: bool = False) -> mock_round.Measured:
        return self.rounds.run(asked, (), seen or Seen(), given_up=lambda: given_up)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("north")
    fork_server = ForkServer(log=folder / "runs.log", threads=1, program=PROGRAM)
    enclosure = Enclosure(folder, LIMITS, required=False)
    rounds = MockRounds(
        launcher=fork_server,
        kernels=ReadyKernels(folder / "kernels", fork_server, enclosure, LIMITS),
        limits=LIMITS,
        folder=folder / "rehearsals",
        max_update_bytes=1 << 20,
        free_disk_bytes=0,
    )
    with fork_servers_are_born():
        yield Machine(folder, fork_server, enclosure, rounds)
    fork_server.stop()


def asked(study: str = "study", **changes: object) -> Asked:
    return Asked(replace(PLAN, study=study, **changes), SCHEMA, SHAPES, SHAPES)  # type: ignore[arg-type]


def test_a_few_steps_are_measured_and_nothing_of_them_is_kept(machine: Machine) -> None:
    seen = Seen()
    measured = machine.run(asked(), seen)
    assert len(measured.steps) == 3 and sorted(measured.steps) == list(measured.steps)
    assert measured.steps[-1] <= measured.working_seconds
    assert measured.preparing_seconds > 0 and measured.pictures == 32
    assert seen.peak_memory_mb > 50 and seen.traceback == []
    assert [path.name for path in (machine.folder / "rehearsals").iterdir() if path.name == "round"] == []


def test_counts_are_rehearsed_too(machine: Machine) -> None:
    evaluation = EvaluationPlan("e", "d", SPEC, 1, ReleaseSpec(2.0, 1e-5))
    assert machine.run(Asked(evaluation, SCHEMA, SHAPES, evaluation.outputs)).pictures == 32
    statistics = StatisticsPlan("s", "d", (16, 16, 1), 2, ReleaseSpec(2.0, 1e-5))
    assert machine.run(Asked(statistics, SCHEMA, {}, statistics.outputs)).pictures == 32


def test_what_stays_is_withheld_in_a_rehearsal_as_in_a_run(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(PLAN, model=ModelSpec("small_cnn", (16, 16, 1), 2), server=ServerSpec("fed_per"))
    whole, left = trainable_shapes(plan.model), list[bytes]()
    leaving = shared(plan, whole)

    def release(path: Path, expected: object, *more: object, **options: object) -> None:
        left.append(path.read_bytes())
        release_update(path, expected, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(mock_round, "release_update", release)
    assert machine.run(Asked(plan, SCHEMA, whole, leaving)).pictures == 32
    assert take_update(left[0], leaving, max_bytes=1 << 20).keys() == whole.keys() - {"head.weight", "head.bias"}


def test_a_failure_tells_its_traceback_without_a_folder_of_the_machine(machine: Machine) -> None:
    seen = Seen()
    with pytest.raises(RunFailed, match="ended on the mock with RuntimeError: no kernel for"):
        machine.run(asked("raises"), seen)
    told = "\n".join(seen.traceback)
    assert "RuntimeError: no kernel for" in told and "rehearsed_runs.py" in told
    assert "file.npy" in told and HELD not in told and "secret-folder" not in told
    assert "\x1b" not in told and str(Path(sys.prefix)) not in told


def test_a_plan_that_does_not_fit_the_mock_fails_with_the_public_reason(machine: Machine) -> None:
    wide = replace(SCHEMA, image_shape=(24, 24, 1))
    seen = Seen()
    with pytest.raises(RunFailed, match="PlanError: WW101"):
        machine.run(replace(asked(), schema=wide), seen)
    assert "Set it to (24, 24, 1)" in seen.traceback[-1]


@pytest.mark.parametrize("study", ["crashes", "hoards"])
def test_a_crash_and_too_much_memory_are_failures_with_a_reason(study: str, machine: Machine) -> None:
    seen = Seen()
    with pytest.raises(RunFailed) as failed:
        machine.run(asked(study), seen)
    assert "memory" in failed.value.public.lower()


def test_what_takes_too_long_is_ended(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mock_round, "MAX_SECONDS", 3.0)
    with pytest.raises(RunFailed, match="longer than the 3 seconds"):
        machine.run(asked("sleeps"))


def test_a_result_that_the_output_contract_refuses_fails(machine: Machine) -> None:
    with pytest.raises(OutputRefused):
        machine.run(asked("writes-else"))


def test_what_is_told_is_bounded(machine: Machine) -> None:
    seen = Seen()
    with pytest.raises(RunFailed):
        machine.run(asked("chatters"), seen)
    assert 2 < len(seen.traceback) <= MAX_LINES
    assert max(map(len, seen.traceback)) <= MAX_LINE


def test_one_that_is_given_up_ends_at_once_with_its_process(machine: Machine) -> None:
    with pytest.raises(RunCancelled):
        machine.run(asked("sleeps"), given_up=True)


def test_a_disk_without_room_for_it_refuses(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 40, 1 << 40, 1000))
    with pytest.raises(DiskFull):
        machine.run(asked())


def test_a_rehearsal_never_reads_another_store_than_the_mocks(machine: Machine, tmp_path: Path) -> None:
    images, labels = draw_pictures(60, 1)
    ingest(SourcePictures(images, labels, ("dark", "bright"), None), tmp_path / "d", name="d")
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(canonical_bytes(initial_weights(SPEC, 0)))
    told: list[str] = []
    began: list[int] = []
    for rehearses in (True, False):  # the same job is a run's, where it is a run
        result = tmp_path / f"update-{rehearses}"
        job = Job.of_round(
            replace(PLAN, steps_per_round=1),
            gpus=0,
            round=0,
            store=str(tmp_path / "d"),
            weights=str(weights),
            result=str(result),
            confinement=machine.enclosure.confine(()),
            rehearses=rehearses,
        )
        process = machine.fork_server.start()
        call = {
            "begin": lambda: began.append(1),
            "timeout_seconds": 60.0,
            "cancelled": lambda: False,
            "progress": lambda share: None,
            "told": told.append,
        }
        if rehearses:
            with pytest.raises(RunFailed):
                process.execute(job, **call)  # type: ignore[arg-type]
            assert not result.exists() and began == []
            assert told[-1].startswith("StoreBroken: WW202: A rehearsal reads the mock's pictures")
        else:
            process.execute(job, **call)  # type: ignore[arg-type]
            assert result.exists()


def test_a_run_tells_no_traceback(machine: Machine, tmp_path: Path) -> None:
    write_mock_store(tmp_path / "mock", SCHEMA)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(canonical_bytes(initial_weights(SPEC, 0)))
    job = Job.of_round(
        replace(PLAN, study="raises"),
        gpus=0,
        round=0,
        store=str(tmp_path / "mock"),
        weights=str(weights),
        result=str(tmp_path / "update"),
        confinement=machine.enclosure.confine(()),
    )
    told: list[str] = []
    with pytest.raises(RunFailed):
        machine.fork_server.start().execute(
            job,
            begin=lambda: None,
            timeout_seconds=60.0,
            cancelled=lambda: False,
            progress=lambda share: None,
            told=told.append,
        )
    assert told == []


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        replace(SCHEMA, unit="patient"),
        replace(SCHEMA, text=TextForm(8, 128)),
        replace(SCHEMA, label_kind="multi", modality="xray"),
    ],
    ids=["plain", "patients", "reports", "findings"],
)
def test_the_mocks_store_is_whole_and_a_function_of_the_schema(schema: DatasetSchema, tmp_path: Path) -> None:
    store = write_mock_store(tmp_path / "mock", schema)
    store.verify()
    assert is_mock(store) and store.manifest.public == schema
    assert np.array_equal(store.images, make_mock(schema).images)
    other = tmp_path / "other"
    write_mock_store(other, schema)
    for name in ("manifest.json", "images.npy", "labels.npy"):
        assert (other / name).read_bytes() == (tmp_path / "mock" / name).read_bytes()


def test_a_store_that_differs_in_one_pixel_or_label_is_no_mock(tmp_path: Path) -> None:
    store = write_mock_store(tmp_path / "mock", SCHEMA)
    for name in ("images", "labels"):
        array = getattr(store, name).copy()
        array.flat[-1] ^= 1
        assert not is_mock(replace(store, **{name: array}))
    many = replace(store.manifest, num_pictures=mock_store.MAX_PICTURES + 1)
    assert not is_mock(replace(store, manifest=many))
    assert is_mock(open_store(tmp_path / "mock"))
