"""A hospital whose runs are on a Slurm cluster: a rehearsal, a study's rounds, a datasite that is killed in one."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support import hospitals
from support.hospitals import Hospital, make_hospital, running, small_plan, write_pictures
from support.rounds import train_round
from support.slurm import Cluster, cluster
from support.waiting import wait_for

from datasites.runs.sandbox.confinement import sandbox_report
from datasites.training.models import initial_weights
from policies.contracts.inputs import Ticket
from policies.contracts.weights import canonical_bytes
from researcher.hospitals.federation import Federation
from researcher.studies.study import Study

LACKING = [piece for piece in sandbox_report() if piece.required and not piece.present]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {LACKING}"),
]


@pytest.fixture(scope="module")
def slurm() -> Iterator[Cluster]:
    with cluster() as made, patch.dict(hospitals.ENVIRONMENT, SLURM_CONF=made.environment["SLURM_CONF"]):
        yield made


@pytest.fixture(scope="module")
def west(tmp_path_factory: pytest.TempPathFactory, slurm: Cluster) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("west")
    write_pictures(folder / "pictures.npz", sites=("west",))
    hospital = make_hospital(folder, "west", folder / "pictures.npz")
    hospital.configure(
        runs_on="slurm",
        slurm_partition="main",
        runs_per_gpu=0,
        rehearse_requests=True,
        require_rehearsal=True,
        require_sandbox=True,
        memory_bytes_per_run=1 << 30,
    )
    with running(hospital):
        yield hospital


def submit(west: Hospital, connected: Federation, name: str, folder: Path, **changes: Any) -> Study:
    """A study that west has approved, which it does once the rehearsal has passed on the cluster."""
    study = Study.submit(connected, small_plan(connected, study=name, **changes), folder / "study")
    asked = study.requests["west"].request_id
    wait_for(lambda: west.admin("approve", asked, check=False).returncode == 0)
    return study


def test_a_study_is_rehearsed_and_trained_on_the_cluster(west: Hospital, slurm: Cluster, tmp_path: Path) -> None:
    with Federation.connect(west.credentials()) as connected:
        study = submit(west, connected, "on-slurm", tmp_path)
        for index in range(2):
            assert train_round(study, index, "west")["state"] == "done"
    jobs = [entry["slurm_job"] for entry in west.events("run started")]
    assert len(set(jobs)) == 2
    wait_for(lambda: slurm.jobs() == [])
    assert west.events("sandbox looked at")[-1]["answer"] == "runs are closed in on the nodes that they get"
    written = slurm.logs()
    assert all(secret not in written for secret in ("on-slurm", study.requests["west"].request_id, "small_cnn"))
    looked = json.loads(west.admin("doctor", "--json", check=False).stdout)
    assert {one["level"] for one in looked if one["check"] == "Slurm"} == {"ok"}


def test_a_datasite_that_is_killed_in_a_run_leaves_no_job_and_runs_it_again_for_one_charge(
    west: Hospital, slurm: Cluster, tmp_path: Path
) -> None:
    with Federation.connect(west.credentials()) as connected:
        study = submit(west, connected, "killed", tmp_path, steps_per_round=300)
        begun, charged = len(west.events("run started")), west.ledger_entries()
        ask(study)
        wait_for(lambda: len(west.events("run started")) > begun)
        west.stop(signal.SIGKILL)
        wait_for(lambda: slurm.jobs() == [])
        west.start(forked=True)
        west.wait_until_ready()
    with Federation.connect(west.credentials()) as connected:
        again = Study.load(connected, tmp_path / "study")
        assert train_round(again, 0, "west")["state"] == "done"
    runs = [entry["run"] for entry in west.events("run started")[begun:]]
    assert len(runs) == 2 and len(set(runs)) == 1
    assert west.ledger_entries() == charged + 2  # one start, one end


def ask(study: Study) -> None:
    """Asks for the first round, as `train_round` does, and does not wait."""
    hospital, request = study.federation.hospitals["west"], study.requests["west"]
    digest = hospital.routes.put_blob(canonical_bytes(initial_weights(study.plan.model, 0)))
    hospital.ask(study.plan.dataset, request, Ticket(0, digest))
