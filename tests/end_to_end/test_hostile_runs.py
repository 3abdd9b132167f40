"""A real datasite whose runs are hostile: it goes on serving, and the researcher learns the public reason only."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.hospitals import ENVIRONMENT, Hospital, make_hospital, running, small_plan
from support.hostile_datasite import READS, SERVED
from support.nursery import born_datasite
from support.waiting import wait_for

from datasites.runs.sandbox.confinement import sandbox_report
from policies.answers.plain_values import to_plain
from policies.contracts.inputs import Ticket
from policies.contracts.weights import canonical_bytes
from policies.errors import RunLost

LACKING = [piece for piece in sandbox_report() if piece.required and not piece.present]
CANARY = "c4n4ry-of-one-patient"

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {LACKING}")


class HostileHospital(Hospital):
    """Its runs do what their study's name says."""

    def start(self, *, forked: bool = False) -> None:
        self.process = born_datasite(self.state, ENVIRONMENT, program=SERVED)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[Hospital]:
    made = make_hospital(tmp_path_factory.mktemp("hostile"), "north", pictures)
    made.configure(memory_bytes_per_run=1 << 29, max_update_bytes=1 << 22, scratch_bytes_per_run=1 << 22)
    hostile = HostileHospital(made.state)
    with running(hostile):
        yield hostile


@pytest.fixture(scope="module")
def researcher(hospital: Hospital) -> Iterator[Any]:
    from researcher.hospitals.federation import Federation

    with Federation.connect(hospital.credentials()) as connected:
        yield connected


def _ask(researcher: Any, hospital: Hospital, study_name: str, folder: Path, **changes: Any) -> tuple[Any, str, str]:
    """Submits, approves and asks for the first round: the wire, the request, the run."""
    from researcher.studies.study import Study

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = Study.submit(researcher, small_plan(researcher, study=study_name, **changes), folder)
        request = study.requests["north"]
        hospital.admin("approve", request.request_id)
        north = researcher.hospitals["north"]
        weights = canonical_bytes(_initial(study))
        digest = north.routes.put_blob(weights)
        answer = north.ask("pictures", request, Ticket(round=0, weights=digest))
    return north.routes, request.request_id, answer.run


def _initial(study: Any) -> Any:
    from datasites.training.models import initial_weights

    return initial_weights(study.plan.model, seed=1)


def _ended(routes: Any, request: str) -> dict[str, Any]:
    def state() -> Any:
        run = to_plain(routes.run(request, 0))
        return run if run["state"] not in ("queued", "running") else None

    ended: dict[str, Any] = wait_for(state)
    return ended


@pytest.mark.parametrize("attack", ["raise_data", "fill_memory", "fill_the_disk", "print_data", "say_data"])
def test_a_hostile_run_ends_with_a_public_reason_and_tells_nothing(
    hospital: Hospital, researcher: Any, tmp_path: Path, attack: str
) -> None:
    routes, request, _ = _ask(researcher, hospital, attack, tmp_path)
    ended = _ended(routes, request)
    assert (ended["state"], ended["code"], ended["update"]) == ("failed", RunLost.code, "")
    assert ended["reason"]
    assert CANARY not in json.dumps(ended)
    for log in (hospital.state / "audit.log", *(hospital.state / "logs").iterdir()):
        assert CANARY not in log.read_text(errors="replace"), log


def test_a_sleeping_run_is_cancelled_and_gone_while_the_next_waits_in_its_place(
    hospital: Hospital, researcher: Any, tmp_path: Path
) -> None:
    routes, request, run = _ask(researcher, hospital, "sleep", tmp_path / "sleep")
    started = wait_for(lambda: [event for event in hospital.events("run started") if event["run"] == run])
    wire_next, next_request, _ = _ask(researcher, hospital, "teaches", tmp_path / "next")
    assert wire_next.run(next_request, 0).queue_position == 1
    routes.cancel(request, 0)
    assert _ended(routes, request)["state"] == "cancelled"
    wait_for(lambda: not Path(f"/proc/{started[0]['pid']}").exists())
    assert _ended(wire_next, next_request)["state"] == "done"


def test_a_round_reads_its_request_from_pysyft_when_it_is_asked_for_and_before_it_starts(
    hospital: Hospital, researcher: Any, tmp_path: Path
) -> None:
    from researcher.studies.study import Study

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = Study.submit(researcher, small_plan(researcher, study="counted"), tmp_path)
        request, north = study.requests["north"], researcher.hospitals["north"]
        hospital.admin("approve", request.request_id)
        digest = north.routes.put_blob(canonical_bytes(_initial(study)))
        before = _reads(hospital, request.request_id)
        north.ask("pictures", request, Ticket(round=0, weights=digest))
    assert _ended(north.routes, request.request_id)["state"] == "done"
    assert _reads(hospital, request.request_id) - before == 2


def _reads(hospital: Hospital, request: str) -> int:
    return (hospital.state / "logs" / READS).read_text().splitlines().count(request)


def test_the_datasite_said_at_its_start_what_its_sandbox_lacks(hospital: Hospital) -> None:
    event = hospital.events("sandbox looked at")[0]
    assert event["answer"] == "runs are closed in"
    assert "file rules" not in event["missing"]
