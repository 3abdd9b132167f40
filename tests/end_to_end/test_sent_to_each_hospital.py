"""SCAFFOLD and MR-MTL at two hospitals over sockets: what each is sent follows from released files alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import Hospital, small_plan

from datasites.training.models import initial_weights
from policies.contracts.encodings import encode
from policies.contracts.inputs import Ticket
from policies.contracts.outputs import take_update
from policies.errors import InputRefused
from policies.plans.server.beside import together
from policies.plans.training import ServerSpec
from researcher.hospitals.federation import Federation
from researcher.studies.checkpoints import load_state
from researcher.studies.study import Study

Weights = dict[str, np.ndarray]
ROUNDS = 3


def test_control_variates_are_those_that_follow_from_what_the_hospitals_released(
    hospitals: dict[str, Hospital], federation: Federation, hold_out: Any, tmp_path: Path
) -> None:
    plan = small_plan(federation, study="scaffold", rounds=ROUNDS, server=ServerSpec("scaffold"))
    study, first = Study.submit(federation, plan, tmp_path / "study"), initial_weights(plan.model, 0)
    for name, request in study.requests.items():
        assert (
            "a correction comes in with the model's weights"
            in hospitals[name].admin("show", request.request_id, "--json").stdout
        )
        hospitals[name].admin("approve", request.request_id)
    study.run(hold_out=hold_out, initial_weights=first, rounds=2)

    north, entries = federation.hospitals["north"], hospitals["north"].ledger_entries()
    whole = together("correction", first, first)
    lacking = {name: array for name, array in whole.items() if name != f"correction/{min(first)}"}
    for arrays in (first, lacking, {**whole, "correction/more": first[min(first)]}, together("anchor", first, first)):
        digest = north.routes.put_blob(encode(arrays, plan.weights_encoding, seed=b""))
        with pytest.raises(InputRefused, match="'correction/"):
            north.ask("pictures", study.requests["north"], Ticket(2, digest))
    assert hospitals["north"].ledger_entries() == entries

    state, history = study.run(hold_out=hold_out, initial_weights=first)
    assert [record.datasites for record in history.records] == [("north", "south")] * ROUNDS

    released = {name: _released(federation, study, name, tmp_path, first) for name in study.requests}
    sizes = {name: federation.hospitals[name].datasets["pictures"].public_size for name in released}
    expected, weights = _scaffold(released, sizes, first, [plan.summed_rates(index) for index in range(ROUNDS)])
    saved = load_state(tmp_path / "study", plan_digest=plan.digest())
    assert saved is not None and saved[0].kept is not None
    for name, control in expected.items():
        kept = saved[0].kept.read(name)
        assert kept is not None and kept.keys() == control.keys()
        for key in control:
            assert kept[key] == pytest.approx(control[key], rel=1e-4, abs=1e-5)
    if not plan.server_momentum:
        assert all(state.weights[key] == pytest.approx(weights[key], rel=1e-4, abs=1e-5) for key in first)


@pytest.mark.slow
def test_a_hospitals_own_model_is_what_its_released_updates_made_of_the_first_weights(
    hospitals: dict[str, Hospital], federation: Federation, hold_out: Any, tmp_path: Path
) -> None:
    server, alone = ServerSpec("mr_mtl", mean_pull=0.5), {"server_momentum": 0.0, "server_averaging": 0.0}
    plan = small_plan(federation, study="mr-mtl", rounds=ROUNDS, server=server, **alone)
    study, first = Study.submit(federation, plan, tmp_path / "study"), initial_weights(plan.model, 0)
    for name, request in study.requests.items():
        shown = hospitals[name].admin("show", request.request_id, "--all").stdout
        assert "Each hospital has a model of its own." in shown and "by 0.5 of the way" in " ".join(shown.split())
        hospitals[name].admin("approve", request.request_id)
    study.run(hold_out=hold_out, initial_weights=first, rounds=1)
    state, _ = study.run(hold_out=hold_out, initial_weights=first)  # goes on from its folder
    assert state.kept is not None
    models = {}
    for name in study.requests:
        updates = _released(federation, study, name, tmp_path, first)
        models[name] = {key: array + sum(one[key] for one in updates) for key, array in first.items()}
        kept = state.kept.read(name)
        assert kept is not None
        assert all(kept[key] == pytest.approx(models[name][key], rel=1e-5, abs=1e-6) for key in first)
    sizes = {name: federation.hospitals[name].datasets["pictures"].public_size for name in models}
    for key in first:
        mean = sum(sizes[name] * models[name][key] for name in models) / sum(sizes.values())
        assert state.weights[key] == pytest.approx(mean, rel=1e-5, abs=1e-6)
    assert any((models["north"][key] != models["south"][key]).any() for key in first)


def _released(federation: Federation, study: Study, name: str, folder: Path, like: Weights) -> list[Weights]:
    """What left the hospital in each round, read once more from the hospital itself."""
    routes, found = federation.hospitals[name].routes, []
    shapes = {key: array.shape for key, array in like.items()}
    for index in range(ROUNDS):
        file = folder / f"{name}-{index}"
        routes.get_blob(routes.run(study.requests[name].request_id, index).update, file, max_bytes=1 << 22)
        found.append(dict(take_update(file, shapes, max_bytes=1 << 22, encoding=study.plan.update_encoding)))
    return found


def _scaffold(
    released: dict[str, list[Weights]], sizes: dict[str, int], first: Weights, rates: list[float]
) -> tuple[dict[str, Weights], Weights]:
    """Control variates by the paper's formula in float64, and the global weights, of released updates alone."""
    weights = {key: array.astype(np.float64) for key, array in first.items()}
    controls = {name: {key: np.zeros(array.shape) for key, array in first.items()} for name in released}
    mean = {key: np.zeros(array.shape) for key, array in first.items()}
    total = sum(sizes.values())
    for index, rate in enumerate(rates):
        for name, updates in released.items():
            for key in first:
                controls[name][key] = controls[name][key] - mean[key] - updates[index][key].astype(np.float64) / rate
                weights[key] += sizes[name] / total * updates[index][key]
        mean = {key: sum(sizes[name] / total * controls[name][key] for name in controls) for key in first}
    return controls, weights


def test_a_correction_is_refused_in_a_plan_that_has_none_and_in_the_first_round_of_one_that_has(
    hospitals: dict[str, Hospital], north_only: Federation, tmp_path: Path
) -> None:
    for study_name, server in (("no-correction", ServerSpec()), ("no-correction-yet", ServerSpec("scaffold"))):
        plan = small_plan(north_only, study=study_name, server=server)
        study, first = Study.submit(north_only, plan, tmp_path / study_name), initial_weights(plan.model, 0)
        hospitals["north"].admin("approve", study.requests["north"].request_id)
        north, entries = north_only.hospitals["north"], hospitals["north"].ledger_entries()
        digest = north.routes.put_blob(encode(together("correction", first, first), plan.weights_encoding, seed=b""))
        with pytest.raises(InputRefused, match="is not among the declared names"):
            north.ask("pictures", study.requests["north"], Ticket(0, digest))
        assert hospitals["north"].ledger_entries() == entries
