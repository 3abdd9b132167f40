"""The gate in front of PySyft: what passes, and that everything else does not, call by call."""

from __future__ import annotations

import datetime
import logging
import random
import threading
import warnings
from inspect import Parameter
from typing import Any

import pytest
from support.governed import Governed, Straight
from support.hospitals import RESEARCHER, STRANGER

from datasites.assets.store import open_store
from datasites.pysyft import deserialiser
from datasites.pysyft.guard import RESEARCHER_PATHS, by_the_hospital
from datasites.pysyft.publish import publish
from datasites.pysyft.server import refuse_dev_mode
from policies.errors import ConfigError, DatabaseUnavailable, MessageRefused, NotAllowed, RequestError, RequestMalformed

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    import syft as sy
    from syft.client.api import SyftAPICall
    from syft.server.credentials import SyftSigningKey
    from syft.types.uid import UID


@pytest.fixture
def north(governed_north: Governed) -> Governed:
    return governed_north


def refusal(answer: Any) -> str:
    """The code that a call was refused with."""
    assert isinstance(answer, sy.SyftError)
    return str(answer.message).partition(":")[0]


def test_a_researchers_own_call_passes(north: Governed) -> None:
    assert north.call("user.get_current_user").value.email == RESEARCHER


def test_paths_that_a_study_does_not_need_are_refused(north: Governed) -> None:
    with by_the_hospital():
        known = north.server.get_api(north.server.verify_key, north.server.current_protocol).endpoints.values()
    paths = sorted({one.service_path for one in known} - RESEARCHER_PATHS)
    assert len(paths) > 50
    for path in ("", "metadata", *random.Random(1).sample(paths, 20)):
        assert refusal(north.call(path)) == NotAllowed.code, path


def test_a_client_learns_of_no_other_paths_and_of_no_types(north: Governed) -> None:
    with north.door():
        api = north.client().api
    assert {one.service_path for one in api.endpoints.values()} <= RESEARCHER_PATHS
    assert api.lib_endpoints == {}
    for one in api.endpoints.values():
        assert {parameter.annotation for parameter in one.signature.parameters.values()} <= {Parameter.empty}


def test_nobody_learns_of_the_calls_whose_key_is_no_researchers(north: Governed) -> None:
    for key in (SyftSigningKey.generate().verify_key, north.server.verify_key, None):
        with pytest.raises(NotAllowed):
            north.server.get_api(key, north.server.current_protocol)
    with pytest.raises(RequestMalformed):
        north.server.get_api(north.key().verify_key, "another protocol")


@pytest.mark.parametrize("changes", [{"blocking": False}, {"server_uid": UID()}])
def test_a_queued_call_and_one_for_another_datasite_are_refused(north: Governed, changes: dict[str, Any]) -> None:
    given = {"server_uid": north.server.id, "path": "dataset.get_all", "args": [], "kwargs": {}, **changes}
    assert refusal(north.answer(SyftAPICall(**given).sign(north.key()))) == NotAllowed.code


def a_call(north: Governed) -> SyftAPICall:
    return SyftAPICall(server_uid=north.server.id, path="user.get_current_user", args=[], kwargs={})


def test_a_call_that_comes_again_is_refused(north: Governed) -> None:
    signed = a_call(north).sign(north.key())
    assert north.answer(signed).value.email == RESEARCHER
    assert refusal(north.answer(signed)) == NotAllowed.code


def test_a_call_is_refused_whose_signature_does_not_hold_or_is_nobodys(north: Governed) -> None:
    changed = a_call(north).sign(north.key())
    changed.serialized_message = a_call(north).sign(north.key()).serialized_message
    assert refusal(north.answer(changed)) == NotAllowed.code
    assert refusal(north.answer(a_call(north).sign(SyftSigningKey.generate()))) == NotAllowed.code
    assert refusal(north.answer(a_call(north).sign(north.server.signing_key))) == NotAllowed.code  # the admin's too


def test_a_call_over_anothers_connection_is_refused_and_over_none_too(north: Governed) -> None:
    assert refusal(north.answer(a_call(north).sign(north.key()), STRANGER)) == "WW711"
    answer = Straight(server=north.server).make_call(a_call(north).sign(north.key()))
    assert refusal(answer.message.data) == "WW711"


def test_what_goes_wrong_in_the_gate_itself_is_a_refusal(north: Governed, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("anything")

    monkeypatch.setattr(north.server, "_gate", broken)
    answer = north.call("user.get_current_user")
    assert refusal(answer) == NotAllowed.code and "anything" not in answer.message


def test_a_round_passes_its_asset_and_its_ticket_and_nothing_else(north: Governed) -> None:
    for args, kwargs in (((1,), {"uid": UID()}), ((), {}), ((), {"uid": UID(), "plan": "{}"})):
        assert refusal(north.call("code.call", *args, **kwargs)) == NotAllowed.code


def test_a_code_request_carries_one_piece_of_code_and_says_nothing_beside(north: Governed) -> None:
    for kwargs in ({}, {"code": "def f(): pass"}, {"reason": "please"}):
        assert refusal(north.call("code.request_code_execution", **kwargs)) == RequestError.code


def test_the_hospitals_own_calls_pass_the_gate(north: Governed) -> None:
    with by_the_hospital():
        assert len(north.server.get_api(north.server.verify_key, north.server.current_protocol).endpoints) > 50


# --- what is built from a message --------------------------------------------------------------------------------


def test_a_call_is_built_of_the_types_that_calls_are_made_of_and_of_no_other(north: Governed) -> None:
    signed = a_call(north).sign(north.key())
    assert deserialiser.parse_call(signed.serialized_message).path == "user.get_current_user"
    with pytest.raises(MessageRefused):
        deserialiser.parse_call(sy.serialize(datetime.date(2026, 1, 1), to_bytes=True))
    assert refusal(north.call("dataset.get_all", when=datetime.date(2026, 1, 1))) == MessageRefused.code


@pytest.mark.parametrize("length", [0, 1, 64, 10_000])
def test_bytes_that_are_no_message_are_refused(north: Governed, length: int) -> None:
    with pytest.raises(MessageRefused):
        deserialiser.parse_call(random.Random(length).randbytes(length))


# --- what is published -------------------------------------------------------------------------------------------


def test_a_dataset_is_published_once_and_its_private_part_is_a_name(north: Governed) -> None:
    store = north.state.store / "pictures"
    published = publish(north.server, open_store(store).manifest, store)
    with north.door():
        asset = north.client().datasets["pictures"].assets[0]
    assert str(asset.action_id) == published.asset_uid
    with by_the_hospital():
        kept = north.server.services.action.stash.get(uid=asset.action_id, credentials=north.server.verify_key).unwrap()
        private = dict(kept.private.syft_action_data)
    assert private == {"kind": "private", "dataset": "pictures", "fingerprint": published.manifest.fingerprint}


@pytest.mark.parametrize(("value", "refused"), [("", False), ("0", False), ("false", False), ("1", True), ("on", True)])
def test_pysyft_does_not_start_in_its_development_mode(
    monkeypatch: pytest.MonkeyPatch, value: str, refused: bool
) -> None:
    monkeypatch.setenv("DEV_MODE", value)
    if refused:
        with pytest.raises(ConfigError, match="DEV_MODE"):
            refuse_dev_mode()
    else:
        refuse_dev_mode()


def test_a_call_behind_one_that_does_not_end_waits_no_longer_than_its_bound(
    north: Governed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with north.server.lock:
            held.set()
            done.wait()

    monkeypatch.setattr(north.server.lock, "most_seconds", 0.01)
    holder = threading.Thread(target=hold)
    holder.start()
    try:
        held.wait()
        with caplog.at_level(logging.WARNING):
            answer = north.call("user.get_current_user")
        assert refusal(answer) == DatabaseUnavailable.code and "held up by another call" in answer.message
        assert "waited 0 s for its turn" in caplog.text
        with pytest.raises(DatabaseUnavailable):
            north.server.get_api(north.key().verify_key, north.server.current_protocol)
        with pytest.raises(DatabaseUnavailable), by_the_hospital():
            north.answer(a_call(north).sign(north.key()))
    finally:
        done.set()
        holder.join()
    assert north.call("user.get_current_user").value.email == RESEARCHER
