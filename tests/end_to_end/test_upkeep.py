"""Upkeep of real datasites: backups beside a running study, restores, the doctor, the audit log, the first check."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import syft as sy
from support import rounds
from support.hospitals import (
    RESEARCHER,
    Hospital,
    admin_command,
    admin_command_as,
    command,
    make_hospital,
    running,
    small_plan,
)
from support.ports import free_port

from policies.errors import LimitExceeded, NotAllowed, RequestDenied, WanwuError
from researcher.hospitals.federation import Federation, check_all
from researcher.studies.study import Study


@pytest.fixture(scope="module")
def west(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A hospital of this module's own, which may be stopped and lost."""
    from support.hospitals import write_pictures

    folder = tmp_path_factory.mktemp("west")
    write_pictures(folder / "pictures.npz", sites=("west",))
    hospital = make_hospital(folder, "west", folder / "pictures.npz")
    with running(hospital, forked=False):  # the doctor looks at what its processes descend from
        yield hospital


@pytest.fixture
def connected(west: Hospital) -> Any:
    with Federation.connect(west.credentials()) as federation:
        yield federation


def train_round(study: Study, index: int) -> dict[str, Any]:
    return rounds.train_round(study, index, "west")


def test_the_doctor_finds_a_running_datasite_well(west: Hospital) -> None:
    found = json.loads(west.admin("doctor", "--json", check=False).stdout)
    at_issue = [one for one in found if one["level"] == "problem" and one["check"] != "sandbox"]
    assert at_issue == []
    assert {"researchers' port", "console's port", "ledger", "published"} <= {one["check"] for one in found}


def test_sign_ins_and_refused_calls_stand_in_the_audit_log(west: Hospital, connected: Federation) -> None:
    for number in range(4):
        with pytest.raises(LimitExceeded):
            connected.submit(small_plan(connected, study=f"bare-{number}", privacy=None))
    assert any(event["account"] == RESEARCHER for event in west.events("signed in"))
    refused = [event for event in west.events("call refused") if event.get("code") == LimitExceeded.code]
    assert [(event["account"], event["count"]) for event in refused] == [(RESEARCHER, 1)]


def test_the_audit_log_is_verified_and_exported(west: Hospital, tmp_path: Path) -> None:
    assert "chain holds" in west.admin("audit", "verify").stdout
    west.admin("audit", "export", str(tmp_path / "log.csv"))
    assert "datasite started" in (tmp_path / "log.csv").read_text()


def test_a_check_before_a_study_names_what_is_there_and_who_is_not(
    west: Hospital, connected: Federation, tmp_path: Path
) -> None:
    (good,) = connected.check()
    assert good.reachable and good.problems == ()
    assert good.upload_mb_per_second and good.download_mb_per_second and good.latency_seconds
    assert (
        good.clock_difference_seconds is not None and abs(good.clock_difference_seconds) <= 30
    )  # it is this machine's
    assert [(one.name, one.unit) for one in good.datasets] == [("pictures", "picture")]
    blobs = sorted(path.name for path in (west.state / "blobs").rglob("*") if path.is_file())
    connected.check()
    assert sorted(path.name for path in (west.state / "blobs").rglob("*") if path.is_file()) == blobs
    values = json.loads(west.credentials().read_text())
    gone = tmp_path / "gone.json"
    scheme, host, _ = values["url"].split(":")
    gone.write_text(json.dumps({**values, "datasite": "gone", "url": f"{scheme}:{host}:{free_port()}"}))
    checks = {one.datasite: one for one in check_all([west.credentials(), gone])}
    assert checks["west"].reachable and not checks["gone"].reachable
    done = command("-m", "researcher", "check", str(gone), "--json", check=False)
    assert done.returncode == 1
    (told,) = json.loads(done.stdout)
    assert told["problems"][0].startswith("WW705")


def test_a_backup_taken_within_a_study_restores_to_one_that_goes_on(
    west: Hospital, connected: Federation, tmp_path: Path
) -> None:
    """Round 0, backup while serving, SIGKILL, restore as a planned move, and round 1 at the restored datasite."""
    study = Study.submit(connected, small_plan(connected, study="moves"), tmp_path / "study")
    west.admin("approve", study.requests["west"].request_id)
    first = train_round(study, 0)
    assert first["state"] == "done"
    west.admin("backup", str(tmp_path / "backups"))
    assert west.events("backup made")
    lost = west.state
    west.stop(signal.SIGKILL)
    moved = lost.parent / "moved"
    refused = admin_command("restore", str(tmp_path / "backups"), "--state", str(moved), check=False)
    assert refused.returncode == 1 and "does not know what was spent after that" in refused.stderr
    admin_command("restore", str(tmp_path / "backups"), "--state", str(moved), "--nothing_since")
    west.state = moved
    west.start(forked=True)
    west.wait_until_ready()
    with Federation.connect(west.credentials()) as again:
        resumed = Study.load(again, tmp_path / "study")
        assert train_round(resumed, 0)["update"] == first["update"]
        assert train_round(resumed, 1)["state"] == "done"
        assert len(west.events("run done")) == 2
        west.admin("backup", str(tmp_path / "later"))
    _accept_loss(west, tmp_path)


def _accept_loss(west: Hospital, folder: Path) -> None:
    """Restored where nobody knows what was spent since: the study is closed, its rounds refused, all stays charged."""
    charged = west.admin_json("budget")[0]["epsilon_charged"]
    west.stop(signal.SIGKILL)
    accepted = west.state.parent / "accepted"
    done = admin_command("restore", str(folder / "later"), "--state", str(accepted), "--accept_loss")
    assert f"Closed and charged in full: {RESEARCHER}: moves" in done.stdout
    west.state = accepted
    west.start(forked=True)
    west.wait_until_ready()
    with Federation.connect(west.credentials()) as again:
        study = Study.load(again, folder / "study")
        assert study.decisions()["west"][0] == "ended"
        with pytest.raises((RequestDenied, WanwuError, sy.SyftException)):
            train_round(study, 1)
    assert west.admin_json("budget")[0]["epsilon_charged"] == pytest.approx(charged)


def test_two_datasites_are_not_served_from_one_folder(west: Hospital, tmp_path: Path) -> None:
    config = west.state / "config.toml"
    text = config.read_text()
    try:
        west.configure(port=free_port())
        done = west.serve_in_vain()
    finally:
        config.write_text(text)
    assert done.returncode == 1 and "being served" in done.stderr


def test_two_people_approve_where_the_limits_ask_for_two(west: Hospital, connected: Federation, tmp_path: Path) -> None:
    """The last but one test of this file: the limit can only be lowered with the datasite stopped."""
    first, second = west.add("dr.wu", "reviewer"), west.add("dr.chan", "reviewer")
    study = Study.submit(connected, small_plan(connected, study="two-people"), tmp_path)
    request_id = study.requests["west"].request_id
    west.admin("limits", "--set", "approvals_needed=2")
    entries = west.ledger_entries()
    assert NotAllowed.code in west.admin("approve", request_id, check=False).stderr
    assert "1 of 2" in admin_command_as(first, "approve", request_id).stdout
    assert NotAllowed.code in admin_command_as(first, "approve", request_id).stderr
    assert study.decisions() == {"west": ("pending", "")}
    assert west.ledger_entries() == entries
    assert admin_command_as(second, "approve", request_id).returncode == 0
    assert study.decisions() == {"west": ("approved", "")}
    assert west.ledger_entries() == entries + 1
    assert west.events("request approved")[-1]["by"] == "dr.wu, dr.chan"
    fewer = ("limits", "--set", "approvals_needed=1", "--reason", "one of us leaves")
    assert NotAllowed.code in west.admin(*fewer, check=False).stderr


def test_a_datasite_does_not_start_on_an_older_ledger_than_its_audit_log_names(west: Hospital) -> None:
    """The last test of this file: it leaves the datasite stopped."""
    west.stop()
    with closing(sqlite3.connect(west.state / "ledger.sqlite")) as table, table:
        rows = table.execute("SELECT count(*) FROM entries").fetchone()[0]
        assert rows >= 2
    for path in west.state.glob("ledger.*"):
        path.rename(path.with_name(f"kept-{path.name}"))
    try:
        done = west.serve_in_vain()
        assert done.returncode == 1
        log = (west.state / "logs" / "datasite.log").read_text()
        assert "WW303" in done.stderr + log
    finally:
        for path in west.state.glob("ledger.*"):
            path.unlink()
        for path in west.state.glob("kept-ledger.*"):
            path.rename(path.with_name(path.name.removeprefix("kept-")))
