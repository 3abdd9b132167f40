"""What stock PySyft would allow and a datasite refuses, row by row of docs/explanation-closed-datasite.md.

Refused objects are the mildest of their kind: a plain value of a type that no message of the platform holds.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import syft as sy
from support.hospitals import (
    ENVIRONMENT,
    RESEARCHER,
    STRANGER,
    Hospital,
    admin_command_as,
    changed_decision,
    small_plan,
)
from support.waiting import CEILING_SECONDS
from syft.client.api import SyftAPICall

from policies.answers.runs import RunAnswer
from policies.contracts.inputs import Ticket
from policies.errors import MessageRefused, NotAllowed, RequestAltered, SignInFailed
from researcher.hospitals.credentials import Credentials
from researcher.hospitals.federation import Federation
from researcher.hospitals.secure_channel import SecureChannel
from researcher.studies.study import Study


@pytest.fixture
def north(north_only: Federation) -> Any:
    return north_only.hospitals["north"]


def call(north: Any, path: str, **kwargs: Any) -> Any:
    """A PySyft call, signed as the researcher; its answer's data."""
    blocking = kwargs.pop("blocking", True)
    message = SyftAPICall(server_uid=north.client.id, path=path, args=[], kwargs=kwargs, blocking=blocking)
    return north.client.connection.make_call(message.sign(north.client.credentials)).message.data


def post(north: Any, body: bytes | Iterator[bytes]) -> httpx.Response:
    return north.channel.http.post("/api/v2/api_call", content=body)


def approved(hospitals: dict[str, Hospital], federation: Federation, name: str, folder: Path) -> Study:
    study = Study.submit(federation, small_plan(federation, study=name), folder)
    hospitals["north"].admin("approve", study.requests["north"].request_id)
    return study


def ask(north: Any, study: Study) -> RunAnswer:
    ticket = Ticket(0, north.routes.put_blob(b"x"))
    return north.ask("pictures", study.requests["north"], ticket)


# --- the parser, on both sides -------------------------------------------------------------------------------


def test_the_platforms_own_calls_pass(north: Any) -> None:
    assert call(north, "user.get_current_user").value.email == RESEARCHER


def test_a_type_outside_the_list_is_refused_before_anyone_is_asked_who_sent_it(north: Any) -> None:
    with pytest.raises(MessageRefused):
        north.client.connection.make_call(datetime.date(2026, 1, 1))
    answer = post(north, sy.serialize(datetime.date(2026, 1, 1), to_bytes=True))
    assert (answer.status_code, answer.json()["code"]) == (422, MessageRefused.code)


def test_a_type_outside_the_list_is_refused_inside_a_signed_call(north: Any) -> None:
    refused = call(north, "dataset.get_all", when=datetime.date(2026, 1, 1))
    assert refused.message.startswith(MessageRefused.code)


def test_bytes_that_are_no_message_are_refused(north: Any) -> None:
    assert post(north, b"\0" * 64).status_code == 422


def test_the_researchers_side_builds_nothing_that_no_answer_holds(north: Any) -> None:
    with pytest.raises(MessageRefused):
        sy.deserialize(sy.serialize(datetime.date(2026, 1, 1), to_bytes=True), from_bytes=True)
    assert sy.deserialize(sy.serialize({"a": [1, 2.0, "b"]}, to_bytes=True), from_bytes=True) == {"a": [1, 2.0, "b"]}


# --- calls ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "user.create", "user.update", "user.get_all", "settings.get", "settings.update", "worker.start_workers",
        "worker_pool.launch", "job.get_all", "log.get", "policy.get_all", "policy.add", "request.apply", "api.add",
        "network.exchange_credentials_with", "sync.get_state", "migration.get_migration_data", "queue", "metadata",
        "notifications.get_all", "project.create_project", "code.get_all", "code.submit", "action.execute",
        "blob_storage.get_all", "enclave.get_all",
    ],
)  # fmt: skip
def test_paths_that_a_study_does_not_need_are_refused(north: Any, path: str) -> None:
    assert call(north, path).message.startswith(NotAllowed.code)


def test_a_researchers_client_learns_of_no_other_paths(north: Any) -> None:
    north.client.refresh()
    services = {one.service_path.split(".")[0] for one in north.client.api.endpoints.values()}
    assert services <= {"user", "metadata", "dataset", "action", "code"}
    assert north.client.api.lib_endpoints == {}


def test_a_queued_call_is_refused(north: Any) -> None:
    assert call(north, "dataset.get_all", blocking=False).message.startswith(NotAllowed.code)


def test_a_call_for_another_datasite_is_refused(north: Any) -> None:
    message = SyftAPICall(server_uid=sy.UID(), path="dataset.get_all", args=[], kwargs={})
    answer = north.client.connection.make_call(message.sign(north.client.credentials))
    assert answer.message.data.message.startswith(NotAllowed.code)


def test_a_call_that_comes_again_is_refused(north: Any) -> None:
    message = SyftAPICall(server_uid=north.client.id, path="user.get_current_user", args=[], kwargs={})
    signed = message.sign(north.client.credentials)
    assert north.client.connection.make_call(signed).message.data.value.email == RESEARCHER
    assert north.client.connection.make_call(signed).message.data.message.startswith(NotAllowed.code)


def test_a_call_signed_by_nobodys_key_is_refused(north: Any) -> None:
    from syft.server.credentials import SyftSigningKey

    message = SyftAPICall(server_uid=north.client.id, path="dataset.get_all", args=[], kwargs={})
    answer = north.client.connection.make_call(message.sign(SyftSigningKey.generate()))
    assert answer.message.data.message.startswith(NotAllowed.code)


# --- accounts and the port -----------------------------------------------------------------------------------


def sign_in(channel: SecureChannel, email: str, password: str = "wrong") -> httpx.Response:
    return channel.request("POST", "/wanwu/v1/sign-in", json={"email": email, "password": password})


def test_wrong_passwords_get_one_answer_and_tries_slow_down(hospitals: dict[str, Hospital]) -> None:
    """As somebody who signs in nowhere else, since that account has to wait afterwards."""
    credentials = Credentials.from_file(hospitals["south"].credentials(STRANGER))
    with contextlib.closing(SecureChannel(credentials)) as channel:
        answers = [sign_in(channel, STRANGER).json()["error"] for _ in range(12)]
    assert answers[0] == "The e-mail address or the password is not right."
    assert any("Try again in" in answer for answer in answers[5:])  # a busy machine hashes through the first pauses
    assert hospitals["south"].events("sign-in refused")


def test_known_and_unknown_accounts_of_others_get_the_same_answer(hospitals: dict[str, Hospital], north: Any) -> None:
    identity = json.loads((hospitals["north"].state / "identity" / "datasite.json").read_text())
    others = (STRANGER, "nobody@university.org", identity["admin_email"])
    answers = {(answer.status_code, answer.text) for answer in (sign_in(north.channel, email) for email in others)}
    assert len(answers) == 1
    assert next(iter(answers))[0] == 403


@pytest.mark.parametrize(
    "path", ["login", "register", "forgot_password", "reset_password", "stream/x/y/", "metadata_capnp"]
)
def test_routes_of_pysyft_that_a_study_does_not_need_do_not_exist(north: Any, path: str) -> None:
    for method in ("GET", "POST", "PUT"):
        answer = north.channel.http.request(method, f"/api/v2/{path}")
        assert answer.status_code in (404, 405)


def test_an_account_that_is_no_researchers_learns_nothing_of_the_calls(north: Any) -> None:
    answer = north.channel.http.get("/api/v2/api", params={"verify_key": "ab" * 32, "communication_protocol": 1})
    assert (answer.status_code, answer.json()["code"]) == (SignInFailed.status, SignInFailed.code)


def test_a_body_in_chunks_is_bounded_too(north: Any) -> None:
    assert post(north, (b"\0" * (1 << 16) for _ in range(17))).status_code == 413


def test_both_ports_send_the_headers_and_invite_no_other_origin(hospitals: dict[str, Hospital], north: Any) -> None:
    console = json.loads((hospitals["north"].state / "identity" / "console.json").read_text())["url"]
    origin = {"origin": "https://example.org"}
    for answer in (
        north.channel.http.get("/api/v2/metadata", headers=origin),
        north.channel.http.get("/nothing", headers=origin),
        httpx.get(console + "/admin/v1/requests", headers=origin, trust_env=False, timeout=CEILING_SECONDS),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_databases_are_readable_by_the_datasite_alone(hospitals: dict[str, Hospital]) -> None:
    files = [path for path in hospitals["north"].state.rglob("*") if path.suffix in {".db", ".sqlite"}]
    assert len(files) >= 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_development_mode_is_refused_at_the_start(hospitals: dict[str, Hospital]) -> None:
    serve = [sys.executable, "-m", "datasites", "serve", "--state", str(hospitals["north"].state)]
    environment = {**ENVIRONMENT, "DEV_MODE": "true"}
    done = subprocess.run(serve, capture_output=True, text=True, env=environment, timeout=CEILING_SECONDS, check=False)
    assert done.returncode == 1
    assert "DEV_MODE" in done.stderr


def test_the_root_key_is_the_one_that_was_drawn_for_this_datasite(hospitals: dict[str, Hospital], north: Any) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    keys = set()
    for hospital in hospitals.values():
        seed = json.loads((hospital.state / "identity" / "datasite.json").read_text())["signing_seed"]
        keys.add(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)).public_key().public_bytes_raw().hex())
    metadata = north.channel.http.get("/api/v2/metadata").json()
    assert len(keys) == 2
    assert metadata["verify_key"] in keys


# --- approvals -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def changed_code(hospital: Hospital, name: str, part: str) -> Iterator[None]:
    """Inside, PySyft's database holds another text in one field of the code with that name."""
    (file,) = hospital.state.rglob("*_json.db")
    with contextlib.closing(sqlite3.connect(file, timeout=CEILING_SECONDS)) as database:
        rows = database.execute('SELECT id, fields FROM "UserCode"').fetchall()
        ((uid, text),) = [row for row in rows if json.loads(row[1])["service_func_name"] == name]
        fields = json.loads(text)
        write = 'UPDATE "UserCode" SET fields=? WHERE id=?'
        database.execute(write, (json.dumps({**fields, part: fields[part] + "x"}), uid))
        database.commit()
        try:
            yield
        finally:
            database.execute(write, (text, uid))
            database.commit()


@pytest.mark.parametrize("part", ["parsed_code", "raw_code", "service_func_name", "unique_func_name"])
def test_code_that_was_changed_in_the_database_does_not_run(
    hospitals: dict[str, Hospital], north: Any, north_only: Federation, tmp_path: Path, part: str
) -> None:
    study = approved(hospitals, north_only, f"changed-{part.replace('_', '-')}", tmp_path)
    north.client.refresh()
    entries = hospitals["north"].ledger_entries()
    with changed_code(hospitals["north"], study.requests["north"].function, part), pytest.raises(RequestAltered):
        ask(north, study)
    assert hospitals["north"].ledger_entries() == entries
    assert hospitals["north"].events("request altered after approval")


@pytest.mark.parametrize(
    "column",
    [
        "plan",
        "digest",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("shapes", "fingerprint", "dataset", "researcher")),
    ],
)
def test_a_decision_that_was_changed_does_not_count(
    hospitals: dict[str, Hospital], north: Any, north_only: Federation, tmp_path: Path, column: str
) -> None:
    study = approved(hospitals, north_only, f"decision-{column}", tmp_path)
    before = len(hospitals["north"].events("request altered after approval"))
    request_id = study.requests["north"].request_id
    with changed_decision(hospitals["north"], request_id, column, "another "), pytest.raises(RequestAltered):
        ask(north, study)
    assert len(hospitals["north"].events("request altered after approval")) > before


# --- people --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def people(hospitals: dict[str, Hospital]) -> dict[str, Path]:
    roles = {"dr.wu": "reviewer", "m.auditor": "auditor"}
    return {name: hospitals["north"].add(name, role) for name, role in roles.items()}


def test_an_auditor_reads_the_books_and_decides_nothing(
    people: dict[str, Path], north_only: Federation, tmp_path: Path
) -> None:
    study = Study.submit(north_only, small_plan(north_only, study="audited"), tmp_path)
    request_id = study.requests["north"].request_id
    auditor = people["m.auditor"]
    for allowed in (("budget",), ("audit", "search"), ("ledger", "show"), ("runs",)):
        assert admin_command_as(auditor, *allowed).returncode == 0, allowed
    for refused in (("requests",), ("approve", request_id), ("limits",), ("staff", "list")):
        assert NotAllowed.code in admin_command_as(auditor, *refused).stderr, refused
    reviewer = people["dr.wu"]
    assert admin_command_as(reviewer, "show", request_id).returncode == 0
    for refused in (("limits", "--set", "max_rounds=2"), ("researchers",), ("audit", "search")):
        assert NotAllowed.code in admin_command_as(reviewer, *refused).stderr, refused
    assert admin_command_as(reviewer, "approve", request_id).returncode == 0
    receipt = north_only.hospitals["north"].routes.receipt(request_id)
    assert '"approver":"dr.wu"' in receipt.replace(" ", "")
