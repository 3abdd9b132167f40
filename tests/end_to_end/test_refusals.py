"""What a datasite refuses, over real sockets, each with a reason and without spending anything."""

from __future__ import annotations

import json
import select
import socket
import ssl
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
import syft as sy
from support.hospitals import RESEARCHER, STRANGER, Hospital, changed_decision, small_plan
from support.waiting import CEILING_SECONDS, wait_for
from syft.client.api import SyftAPICall
from syft.client.datasite_client import DatasiteClient
from syft.server.credentials import SyftSigningKey
from syft.service.policy.policy import MixedInputPolicy
from syft.types.uid import UID

from policies.contracts.inputs import Ticket
from policies.contracts.signatures import sign
from policies.contracts.weights import canonical_bytes
from policies.errors import (
    BlobUnknown,
    BudgetExceeded,
    CertificateRefused,
    FederationError,
    InputRefused,
    LimitExceeded,
    NotAllowed,
    PlanError,
    RequestError,
    RequestNotCanonical,
    RequestUnknown,
    SignInFailed,
)
from policies.plans.tokeniser import TextForm
from policies.plans.training import ModelSpec, PrivacySpec
from policies.versions import protocol
from researcher.hospitals import code_requests
from researcher.hospitals.credentials import Credentials
from researcher.hospitals.federation import Federation
from researcher.hospitals.pysyft_connection import SecureConnection
from researcher.hospitals.secure_channel import client_context
from researcher.studies.study import Study


@pytest.fixture
def north(north_only: Federation) -> Any:
    return north_only.hospitals["north"]


@pytest.fixture(scope="module")
def stranger(hospitals: dict[str, Hospital]) -> Any:
    with Federation.connect(hospitals["north"].credentials(STRANGER)) as connected:
        yield connected.hospitals["north"]


def _approved(hospitals: dict[str, Hospital], federation: Federation, name: str, folder: Path) -> Study:
    study = Study.submit(federation, small_plan(federation, study=name), folder)
    hospitals["north"].admin("approve", study.requests["north"].request_id)
    return study


# --- at submission -----------------------------------------------------------------------------------------


def test_a_plan_without_differential_privacy_is_refused_at_submission(north_only: Federation) -> None:
    with pytest.raises(LimitExceeded, match="differential privacy only"):
        north_only.submit(small_plan(north_only, study="bare", privacy=None))


def test_a_plan_with_less_noise_than_allowed_is_refused_at_submission(north_only: Federation) -> None:
    quiet = PrivacySpec(noise_multiplier=0.1, max_grad_norm=1.0, delta=1e-5)
    with pytest.raises(LimitExceeded, match=r"at least 0\.5"):
        north_only.submit(small_plan(north_only, study="quiet", privacy=quiet))


def test_a_plan_for_other_pictures_is_refused_at_submission(north_only: Federation) -> None:
    other = ModelSpec("small_cnn", (32, 32, 3), 2)
    with pytest.raises(RequestError, match="schema"):
        north_only.submit(small_plan(north_only, study="other-shape", model=other))


def test_a_plan_for_reports_is_refused_by_a_hospital_that_has_none(north_only: Federation, tmp_path: Path) -> None:
    from researcher.planning.planning import StudySettings, make_plan

    with pytest.raises(PlanError, match="the dataset has pictures alone"):
        make_plan(StudySettings(model="image_text", noise_multiplier=6.0), north_only.datasets())
    reading = ModelSpec("image_text", (16, 16, 1), 2, TextForm(length=12, vocabulary=128).options)
    with pytest.raises((PlanError, FederationError), match="the dataset has pictures alone"):
        Study.submit(north_only, small_plan(north_only, study="reports", model=reading), tmp_path)


@pytest.mark.parametrize(
    ("name", "options"), [("huge_cnn", {}), ("small_cnn", {"depth": 3}), ("vit_small", {"width": 1})]
)
def test_a_plan_with_an_unknown_model_or_option_is_refused_at_submission(
    north_only: Federation, name: str, options: dict[str, int]
) -> None:
    unknown = ModelSpec(name, (16, 16, 1), 2, options)
    with pytest.raises(PlanError, match=r"huge_cnn|depth|width"):
        north_only.submit(small_plan(north_only, study="unknown", model=unknown))


def test_code_that_is_not_the_stub_is_refused_at_submission(north: Any, north_only: Federation) -> None:
    plan = small_plan(north_only, study="own-code")

    def wanwu_own(asset: Any, plan: Any, ticket: Any) -> Any:
        return plan

    policy = MixedInputPolicy(
        asset=UID(north._assets[plan.dataset]), plan=sy.Constant(val=plan.to_json()), ticket=str, client=north.client
    )
    code = sy.syft_function(input_policy=policy)(wanwu_own)
    with pytest.raises(sy.SyftException, match=RequestNotCanonical.code):
        north.client.code.request_code_execution(code)


def test_an_asset_that_is_not_the_plans_dataset_is_refused_at_submission(north: Any, north_only: Federation) -> None:
    plan = small_plan(north_only, study="other-asset")
    with pytest.raises(RequestNotCanonical):
        code_requests.submit(north._pysyft().calls, str(UID()), plan)


def test_a_study_beyond_the_budget_is_refused_at_approval_with_what_is_left(
    hospitals: dict[str, Hospital], north_only: Federation, tmp_path: Path
) -> None:
    costly = PrivacySpec(noise_multiplier=0.6, max_grad_norm=1.0, delta=1e-5)
    plan = small_plan(north_only, study="costly", privacy=costly, steps_per_round=300)
    study = Study.submit(north_only, plan, tmp_path)
    entries = hospitals["north"].ledger_entries()
    refused = hospitals["north"].admin("approve", study.requests["north"].request_id, check=False)
    assert refused.returncode == 1 and refused.stderr.startswith(BudgetExceeded.code)
    assert hospitals["north"].ledger_entries() == entries
    assert study.decisions() == {"north": ("pending", "")}


# --- at a round --------------------------------------------------------------------------------------------


def test_a_plan_with_other_values_cannot_be_passed_to_an_approved_request(
    hospitals: dict[str, Hospital], north: Any, north_only: Federation, tmp_path: Path
) -> None:
    study = _approved(hospitals, north_only, "other-plan", tmp_path)
    other = small_plan(north_only, study="other-plan", rounds=50)
    ticket = Ticket(0, north.routes.put_blob(b"x")).to_text()
    assert NotAllowed.code in str(_code_call(north, study, ticket, plan=other.to_json()))


def _code_call(north: Any, study: Study, ticket: str, *, blocking: bool = True, **more: str) -> Any:
    """What a round's PySyft call is answered with, where it is not quite the platform's own."""
    arguments = {"uid": UID(study.requests["north"].code_id), "asset": UID(north._assets["pictures"])}
    call = SyftAPICall(
        server_uid=north.client.id,
        path="code.call",
        args=[],
        kwargs={**arguments, "ticket": ticket, **more},
        blocking=blocking,
    )
    return north.client.connection.make_call(call.sign(north.client.credentials)).message.data


def test_weights_of_other_shapes_are_refused(
    hospitals: dict[str, Hospital], north: Any, north_only: Federation, tmp_path: Path
) -> None:
    import numpy as np

    study = _approved(hospitals, north_only, "other-weights", tmp_path)
    digest = north.routes.put_blob(canonical_bytes({"w": np.zeros(3, np.float32)}))
    with pytest.raises(InputRefused):
        north.ask("pictures", study.requests["north"], Ticket(0, digest))
    with pytest.raises(BlobUnknown):
        north.ask("pictures", study.requests["north"], Ticket(0, "0" * 64))


def test_of_what_is_not_ones_own_nothing_can_be_told_from_what_does_not_exist(
    hospitals: dict[str, Hospital], north: Any, stranger: Any, north_only: Federation, tmp_path: Path
) -> None:
    decided = _approved(hospitals, north_only, "not-told", tmp_path).requests["north"]
    pending = Study.submit(north_only, small_plan(north_only, study="not-told-yet"), tmp_path / "b").requests["north"]
    answers = set()
    for request_id in (decided.request_id, pending.request_id, decided.request_id[:8], "0" * 32, str(UID())):
        for ask in (stranger.routes.request, lambda uid: stranger.routes.run(uid, 0), stranger.routes.receipt):
            with pytest.raises(RequestUnknown) as refused:
                ask(request_id)
            answers.add(refused.value.public)
    for code_id in (UID(decided.code_id), UID(pending.code_id), UID()):
        call = SyftAPICall(server_uid=north.client.id, path="code.call", args=[], kwargs={"uid": code_id})
        answers.add(stranger.client.connection.make_call(call.sign(stranger.client.credentials)).message.data.message)
    text = "This account has no such request."
    assert answers == {text, f"{RequestUnknown.code}: {text}"}
    with pytest.raises(RequestUnknown):
        north.routes.request(decided.request_id[:8])
    assert north.routes.request(decided.request_id).state == "approved"


def test_another_researcher_reaches_neither_request_nor_runs_nor_blobs(
    hospitals: dict[str, Hospital], north: Any, stranger: Any, north_only: Federation, tmp_path: Path
) -> None:
    study = _approved(hospitals, north_only, "not-yours", tmp_path)
    request = study.requests["north"]
    digest = north.routes.put_blob(b"weights of the researcher")
    for ask in (
        lambda: stranger.routes.request(request.request_id),
        lambda: stranger.routes.run(request.request_id, 0),
        lambda: stranger.routes.end(request.request_id),
    ):
        with pytest.raises(RequestUnknown):
            ask()
    with pytest.raises(BlobUnknown):
        stranger.routes.get_blob(digest, tmp_path / "blob", max_bytes=1000)
    assert not hasattr(stranger.client.code, request.function)


def test_a_request_that_was_changed_after_its_approval_is_refused(
    hospitals: dict[str, Hospital], north: Any, north_only: Federation, tmp_path: Path
) -> None:
    """The store fingerprint is one of the things that an approval covers; here the approved record is of another."""
    study = _approved(hospitals, north_only, "changed", tmp_path)
    request = study.requests["north"]
    digest = north.routes.put_blob(b"x")
    changed = changed_decision(hospitals["north"], request.request_id, "digest", "0" * 64)
    with changed, pytest.raises(RequestError, match="not what the hospital approved"):
        north.ask("pictures", request, Ticket(0, digest))
    assert hospitals["north"].events("request altered after approval")


# --- at the port -------------------------------------------------------------------------------------------


def _knock(credentials: Credentials) -> ssl.SSLSocket:
    """A connection to the datasite that nothing but this test uses."""
    host, port = credentials.url.removeprefix("https://").split(":")
    raw = socket.create_connection((host, int(port)), timeout=CEILING_SECONDS)
    return client_context(credentials).wrap_socket(raw, server_hostname=host)


def test_the_console_answers_while_long_polls_wait(
    hospitals: dict[str, Hospital], north: Any, stranger: Any, north_only: Federation, tmp_path: Path
) -> None:
    """As many of two researchers as their connections allow, which is more than the datasite has threads."""
    study = Study.submit(north_only, small_plan(north_only, study="awaited"), tmp_path)
    with Federation.connect(hospitals["north"].credentials(STRANGER)) as theirs:
        other = Study.submit(theirs, small_plan(theirs, study="awaited-too"), tmp_path / "other")
    asked = ((north, study.requests["north"]), (stranger, other.requests["north"]))
    # On a busy machine the polls' twenty seconds may be over by the time the console is asked.
    told = wait_for(lambda: _console_while_polls_wait(hospitals["north"], asked))
    assert told.status_code == 200


def _console_while_polls_wait(hospital: Hospital, asked: Iterable[tuple[Any, Any]]) -> httpx.Response | None:
    """What the console answers while all these polls wait; None where one of them was answered before."""
    waiting = []
    for asking, request in asked:
        path = f"/wanwu/v1/requests/{request.request_id}/rounds/0?seen=0&wait=20"
        credentials = Credentials.from_file(hospital.credentials(asking.email))
        for _ in range(24):
            fields = {**sign(asking.routes._seed, "GET", path), **protocol.of_researcher(), "host": "127.0.0.1"}
            head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            waiting.append(_knock(credentials))
            waiting[-1].sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
    time.sleep(1)  # they are under way
    console = json.loads((hospital.state / "identity" / "console.json").read_text())
    headers = {"authorization": f"Bearer {console['token']}"}
    told = httpx.get(f"{console['url']}/admin/v1/runs", headers=headers, trust_env=False, timeout=CEILING_SECONDS)
    answered, _, _ = select.select(waiting, [], [], 0)
    for one in waiting:
        one.close()
    return None if answered else told


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/api/v2/stream/x/y/", "/api/v2/", "/admin/v1/requests"])
def test_routes_that_the_platform_does_not_use_do_not_exist(north: Any, path: str) -> None:
    assert north.channel.http.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/wanwu/v1/info/", "/api/v2/metadata/", "/api/v2/api/"])
def test_nothing_is_redirected(north: Any, path: str) -> None:
    assert north.channel.http.get(path).status_code == 404


def test_another_host_is_refused(hospitals: dict[str, Hospital], north: Any) -> None:
    import json

    console = json.loads((hospitals["north"].state / "identity" / "console.json").read_text())["url"]
    other = {"host": "elsewhere.example.org"}
    for answer in (
        north.channel.http.get("/api/v2/metadata", headers=other),
        httpx.get(f"{console}/admin/v1/requests", headers=other, trust_env=False, timeout=CEILING_SECONDS),
    ):
        assert (answer.status_code, answer.json()["code"]) == (421, "WW612")


@pytest.mark.parametrize("query", ["verify_key=x", f"verify_key={'9' * 5000}", "", "communication_protocol=1"])
def test_a_malformed_query_is_refused_in_the_one_shape(north: Any, query: str) -> None:
    answer = north.channel.http.get(f"/api/v2/api?{query}")
    assert 400 <= answer.status_code < 500 and set(answer.json()) == {"code", "error"}


@pytest.mark.parametrize("protocol", ["x", "-1", "9" * 30, "9" * 5000])
def test_a_protocol_that_does_not_exist_is_refused_in_the_one_shape(north: Any, protocol: str) -> None:
    key = str(north.client.credentials.verify_key)
    answer = north.channel.http.get(f"/api/v2/api?verify_key={key}&communication_protocol={protocol}")
    assert 400 <= answer.status_code < 500 and set(answer.json()) == {"code", "error"}


@pytest.mark.parametrize("path", ["/api/v2/register", "/api/v2/forgot_password", "/api/v2/reset_password"])
def test_nobody_signs_up_or_resets_a_password_over_the_wire(north: Any, path: str) -> None:
    assert north.channel.http.post(path, content=b"{}").status_code == 404


def test_guests_and_the_admin_are_not_served_on_the_researchers_port(
    hospitals: dict[str, Hospital], north: Any
) -> None:
    import json

    identity = json.loads((hospitals["north"].state / "identity" / "datasite.json").read_text())
    connection = SecureConnection.over(north.channel)
    sent = {"email": identity["admin_email"], "password": identity["admin_password"]}
    assert north.channel.request("POST", "/wanwu/v1/sign-in", json=sent).json()["code"] == CertificateRefused.code
    admin = SyftSigningKey.from_string(identity["signing_seed"])
    for key in (admin, SyftSigningKey.generate()):
        with pytest.raises(SignInFailed):
            DatasiteClient(connection=connection, metadata=north.client.metadata, credentials=key)._fetch_api(key)
        call = SyftAPICall(server_uid=north.client.id, path="dataset.get_all", args=[], kwargs={})
        answer = connection.make_call(call.sign(credentials=key))
        assert NotAllowed.code in str(answer.message.data)


@pytest.mark.parametrize(
    "path",
    [
        *("user.get_all", "settings.get", "worker_pool.get_all", "job.get_all", "notifications.get_all"),
        *("action.set", "action.get", "action.has_storage_permission"),
    ],
)
def test_services_that_a_study_does_not_need_are_closed_to_researchers(north: Any, path: str) -> None:
    module, name = path.split(".")
    with pytest.raises(AttributeError):
        getattr(getattr(north.client.api.services, module), name)
    call = SyftAPICall(server_uid=north.client.id, path=path, args=[], kwargs={}).sign(north.client.credentials)
    assert NotAllowed.code in str(north.client.connection.make_call(call).message.data)


def test_a_queued_call_is_refused(
    hospitals: dict[str, Hospital], north: Any, north_only: Federation, tmp_path: Path
) -> None:
    study = _approved(hospitals, north_only, "queued", tmp_path)
    answer = _code_call(north, study, Ticket(0, "0" * 64).to_text(), blocking=False)
    assert NotAllowed.code in str(answer)


def test_an_oversized_call_is_refused_before_it_is_parsed(north: Any) -> None:
    answer = north.channel.http.post("/api/v2/api_call", content=b"\0" * (1 << 20 | 1))
    assert answer.status_code == 413


def test_own_routes_take_signed_requests_only_and_each_once(north: Any) -> None:
    path = "/wanwu/v1/info"
    assert north.channel.http.get(path).status_code == 401
    headers = sign(north.routes._seed, "GET", path)
    assert north.channel.http.get(path, headers=headers).status_code == 200
    assert north.channel.http.get(path, headers=headers).status_code == 401
    unknown = sign(b"\1" * 32, "GET", path)
    assert north.channel.http.get(path, headers=unknown).status_code == 401


def test_a_blob_that_is_not_what_was_announced_never_shows(north: Any, tmp_path: Path) -> None:
    digest = "ab" * 32
    path = f"/wanwu/v1/blobs/{digest}"
    headers = sign(north.routes._seed, "PUT", path, digest)
    answer = north.channel.http.put(path, headers=headers, content=b"something else")
    assert answer.status_code == 422 and answer.json()["code"] == "WW503"
    with pytest.raises(BlobUnknown):
        north.routes.get_blob(digest, tmp_path / "blob", max_bytes=1000)


def test_the_admin_api_wants_its_token(hospitals: dict[str, Hospital]) -> None:
    import json

    access = json.loads((hospitals["north"].state / "identity" / "console.json").read_text())
    assert httpx.get(f"{access['url']}/admin/v1/requests", trust_env=False, timeout=CEILING_SECONDS).status_code == 401


def test_nobody_else_on_the_machine_can_read_a_state_folder(hospitals: dict[str, Hospital]) -> None:
    for path in (hospitals["north"].state, *hospitals["north"].state.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_passwords_and_keys_are_in_no_log(hospitals: dict[str, Hospital]) -> None:
    import json

    state = hospitals["north"].state
    secrets = [json.loads(hospitals["north"].credentials(RESEARCHER).read_text())["password"]]
    identity = json.loads((state / "identity" / "datasite.json").read_text())
    secrets += [identity["admin_password"], identity["signing_seed"]]
    logs = [*(state / "logs").iterdir(), state / "audit.log", state / "config.toml"]
    assert not [log for log in logs for secret in secrets if secret in log.read_text(errors="replace")]
