"""FedPer and FedBN at two hospitals over sockets: what stays goes on, and no byte of it reaches the researcher."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import requests
from support.hospitals import Hospital, small_plan

from datasites.training.models import initial_weights
from policies.contracts.encodings import encode
from policies.contracts.inputs import Ticket
from policies.contracts.outputs import take_update
from policies.contracts.weights import read_weights
from policies.errors import InputRefused
from policies.plans.server.local_part import local, shared
from policies.plans.training import ServerSpec
from researcher.hospitals.federation import Federation
from researcher.studies.checkpoints import load_state
from researcher.studies.study import Study

Weights = dict[str, np.ndarray]
ROUNDS = 3
SAYS = {
    "fed_per": "The model's last layer stays here: 258 of its",
    "fed_bn": "The scales and shifts of the model's norms stay here: 40 of its",
}


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every body and header that reaches the researcher's process."""
    bodies: list[bytes] = []
    send, get = requests.Session.send, httpx.Client.send

    def noted(answer: Any, content: Callable[[], bytes]) -> Any:
        bodies.append(content() + repr(dict(answer.headers)).encode())
        return answer

    def of_requests(session: Any, request: Any, **options: Any) -> Any:
        answer = send(session, request, **options)
        return noted(answer, lambda: answer.content)

    def of_httpx(client: Any, request: Any, **options: Any) -> Any:
        answer = get(client, request, **options)
        return noted(answer, answer.read)

    monkeypatch.setattr(requests.Session, "send", of_requests)
    monkeypatch.setattr(httpx.Client, "send", of_httpx)
    return bodies


@pytest.mark.parametrize("strategy", ["fed_per", pytest.param("fed_bn", marks=pytest.mark.slow)])
def test_what_stays_goes_on_from_round_to_round_and_no_byte_of_it_reaches_the_researcher(
    hospitals: dict[str, Hospital],
    federation: Federation,
    hold_out: Any,
    tmp_path: Path,
    received: list[bytes],
    strategy: str,
) -> None:
    plain: Any = {"server_momentum": 0.0, "server_averaging": 0.0, "update_encoding": "none"}
    plan = small_plan(federation, study=strategy, rounds=ROUNDS, server=ServerSpec(strategy), **plain)
    study, first = Study.submit(federation, plan, tmp_path / "study"), initial_weights(plan.model, 0)
    stays = {name: array.shape for name, array in local(plan, first).items()}
    leaves = {name: array.shape for name, array in shared(plan, first).items()}
    for name, request in study.requests.items():
        shown = " ".join(hospitals[name].admin("show", request.request_id, "--all").stdout.split())
        assert SAYS[strategy] in shown and "leave neither in an update nor otherwise" in shown
        hospitals[name].admin("approve", request.request_id)
    parts: dict[str, list[Weights]] = {name: [] for name in study.requests}
    for done in range(ROUNDS):
        before = {name: set(_files(hospitals[name])) for name in study.requests}
        study.run(hold_out=hold_out, initial_weights=first, rounds=done + 1)
        for name in study.requests:
            (new,) = set(_files(hospitals[name])) - before[name]
            parts[name].append(dict(read_weights(new.read_bytes(), stays, max_bytes=1 << 20)))
    state, history = study.run(hold_out=hold_out, initial_weights=first)
    assert [record.datasites for record in history.records] == [("north", "south")] * ROUNDS

    for name in study.requests:  # they change in each round, and from hospital to hospital
        for earlier, later in zip([local(plan, first), *parts[name]], parts[name], strict=False):
            assert all((earlier[key] != later[key]).any() for key in stays)
    assert all((parts["north"][-1][key] != parts["south"][-1][key]).any() for key in stays)

    released = {name: _released(federation, study, name, tmp_path, leaves) for name in study.requests}
    sizes = {name: federation.hospitals[name].datasets["pictures"].public_size for name in released}
    total = sum(sizes.values())
    for key in leaves:
        moved = sum(sizes[name] * sum(one[key] for one in updates) for name, updates in released.items()) / total
        assert state.weights[key] == pytest.approx(first[key] + moved, rel=1e-4, abs=1e-5)
    assert all((state.weights[key] == first[key]).all() for key in stays)
    saved = load_state(tmp_path / "study", plan_digest=plan.digest())
    assert saved is not None and saved[0].kept is None

    assert len(study.receipts(tmp_path / "receipts")) == 2
    everything = b"\n".join([*received, *(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())])
    assert all(two in everything for two in _pairs(released["north"][0]["convolution_1.weight"]))  # what left is found
    for hospital in parts.values():
        for earlier, later in zip([local(plan, first), *hospital], hospital, strict=False):
            for key in stays:  # what it is, and what the round made of it
                assert not any(two in everything for two in _pairs(later[key]))
                assert not any(two in everything for two in _pairs(later[key] - earlier[key]))


def test_a_datasite_that_is_killed_between_rounds_goes_on_with_the_part_of_the_last_completed_one(
    hospitals: dict[str, Hospital], north_only: Federation, hold_out: Any, tmp_path: Path
) -> None:
    north = hospitals["north"]
    plan = small_plan(north_only, study="killed-parts", rounds=ROUNDS, server=ServerSpec("fed_per"))
    study, first = Study.submit(north_only, plan, tmp_path / "study"), initial_weights(plan.model, 0)
    stays = {name: array.shape for name, array in local(plan, first).items()}
    north.admin("approve", study.requests["north"].request_id)
    before = set(_files(north))
    study.run(hold_out=hold_out, initial_weights=first, min_clients=1, rounds=1)
    (part,) = set(_files(north)) - before
    content = part.read_bytes()
    north.stop(signal.SIGKILL)
    north.start(forked=True)
    north.wait_until_ready()
    assert part.read_bytes() == content
    study.run(hold_out=hold_out, initial_weights=first, min_clients=1)
    after = sorted(set(_files(north)) - before)
    assert [file.name[:5] for file in after] == ["00000", "00001", "00002"][-len(after) :]
    last = read_weights(after[-1].read_bytes(), stays, max_bytes=1 << 20)
    assert any((last[key] != read_weights(content, stays, max_bytes=1 << 20)[key]).any() for key in stays)
    backup = north.admin("backup", str(tmp_path / "backups")).stdout
    assert backup and list((tmp_path / "backups").glob("*/local-parts/*/00002-*"))


def test_weights_without_the_first_local_part_are_refused_in_any_round(
    hospitals: dict[str, Hospital], north_only: Federation, tmp_path: Path
) -> None:
    plan = small_plan(north_only, study="no-part", server=ServerSpec("fed_per"))
    study, first = Study.submit(north_only, plan, tmp_path), initial_weights(plan.model, 0)
    hospitals["north"].admin("approve", study.requests["north"].request_id)
    north, entries = north_only.hospitals["north"], hospitals["north"].ledger_entries()
    digest = north.routes.put_blob(encode(shared(plan, first), plan.weights_encoding, seed=b""))
    for index in (0, 1):
        with pytest.raises(InputRefused, match=r"'head\.bias' is missing"):
            north.ask("pictures", study.requests["north"], Ticket(index, digest))
    assert hospitals["north"].ledger_entries() == entries


def _pairs(array: np.ndarray) -> list[bytes]:
    """Two neighbouring numbers each, as they would be written: eight bytes that are nowhere by chance."""
    flat = np.ascontiguousarray(array, "<f4").reshape(-1)
    return [flat[at : at + 2].tobytes() for at in range(0, flat.size - 1, 2)]


def _files(hospital: Hospital) -> list[Path]:
    return list((hospital.state / "local-parts").glob("*/*.safetensors"))


def _released(
    federation: Federation, study: Study, name: str, folder: Path, leaves: dict[str, tuple[int, ...]]
) -> list[Weights]:
    """What left the hospital in each round, read once more from the hospital itself: the shared parameters alone."""
    routes, found = federation.hospitals[name].routes, []
    for index in range(ROUNDS):
        file = folder / f"{name}-{index}"
        routes.get_blob(routes.run(study.requests[name].request_id, index).update, file, max_bytes=1 << 22)
        found.append(dict(take_update(file, leaves, max_bytes=1 << 22, encoding=study.plan.update_encoding)))
    return found
