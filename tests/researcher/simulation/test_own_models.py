"""Hospitals that keep a part of the model, made up: each part stays at its hospital, in a file, and is scored there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.whole_batches import whole_batches

from datasites.training.local_round import train_round
from policies.errors import DataError
from policies.plans.server.local_part import local_names
from policies.plans.server.server_spec import ServerSpec
from researcher.cli.trials import simulated_words
from researcher.evaluation.evaluation import evaluate
from researcher.planning.settings import StudySettings
from researcher.reports.kept_result import read_result, write_again
from researcher.simulation import rounds
from researcher.simulation.own_models import at_home
from researcher.simulation.settings import SimulationSettings
from researcher.simulation.simulate import simulate
from researcher.simulation.trainer import Trainer, randomness
from researcher.simulation.work import Work, make_work
from researcher.strategies import ClientUpdate
from researcher.studies.checkpoints import load_model, load_state
from researcher.studies.history import RoundRecord
from researcher.studies.study import strategy_of

PICTURES = 90
HERE = SimulationSettings(hospitals=3, split="dirichlet", alpha=0.5, in_process=True, seed=5)
NAMES = ("hospital_1", "hospital_2", "hospital_3")


def _study(strategy: str) -> StudySettings:
    plan = StudySettings(num_rounds=2, local_epochs=0.5, sample_rate=0.25, epsilon=8.0, model="small_cnn")
    return replace(plan, server=ServerSpec(strategy))


@pytest.fixture(scope="module", params=["fed_per", "fed_bn"])
def done(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Work]:
    """A simulation that was interrupted after its first round and went on."""
    out = tmp_path_factory.mktemp("done") / "simulation"

    def stop(record: RoundRecord) -> None:
        raise KeyboardInterrupt

    with whole_batches():
        with pytest.raises(KeyboardInterrupt):
            simulate(_study(request.param), HERE, data, out, on_round=stop)
        simulate(_study(request.param), HERE, data, out)
    return out, make_work(_study(request.param), HERE, data)


def _by_hand(work: Work) -> tuple[dict[str, np.ndarray], dict[str, dict[str, np.ndarray]]]:
    """What hospitals share after all rounds, and each one's own part: bare calls of the trainer, divided by name."""
    strategy, own = strategy_of(work.plan), dict[str, dict[str, np.ndarray]]()
    state = strategy.init(work.first_weights)
    stays = local_names(work.plan, state.weights)
    for number in range(work.plan.rounds):
        updates = []
        for one in work.hospitals:
            begins = {**state.weights, **own.get(one.name, {})}
            random = randomness(HERE.seed, one.name, number)
            change = train_round(work.plan, number, begins, work.pictures.of(one), random=random)
            own[one.name] = {name: begins[name] + change[name] for name in stays}
            leaves = {name: value for name, value in change.items() if name not in stays}
            steps, rates = work.plan.steps_per_round, work.plan.summed_rates(number)
            updates.append(ClientUpdate(one.name, leaves, float(one.public_size), steps=steps, summed_rates=rates))
        state = strategy.apply(state, updates)
    return {name: value for name, value in state.weights.items() if name not in stays}, own


def test_each_hospital_goes_on_with_its_own_part_and_shares_the_rest_to_the_last_bit(done: tuple[Path, Work]) -> None:
    out, work = done
    shared, own = _by_hand(work)
    stays = set(own[NAMES[0]])
    assert stays and shared and not stays & set(shared)
    for name in NAMES:
        found = load_model(out / f"model-{name}.safetensors").weights
        assert all(np.array_equal(found[one], values) for one, values in {**shared, **own[name]}.items())
    one, other = (own[name] for name in NAMES[:2])
    assert any(not np.array_equal(one[name], other[name]) for name in stays)


def test_what_hospitals_share_is_all_that_is_written_of_a_common_model(done: tuple[Path, Work]) -> None:
    out, work = done
    assert not (out / "global_model.safetensors").exists() and (out / "shared_part.safetensors").exists()
    begun = load_state(out, plan_digest=work.plan.digest())
    assert begun is not None and begun[0].kept is not None
    assert tuple(begun[0].kept.hospitals) == NAMES
    stays = local_names(work.plan, begun[0].weights)
    assert all(np.array_equal(begun[0].weights[name], work.first_weights[name]) for name in stays)
    assert len(list(out.glob("hospital-*.safetensors"))) == len(NAMES)  # one each, and none of the round before
    assert set(begun[0].kept.read(NAMES[0]) or {}) == stays


def test_the_result_tells_how_each_hospitals_own_model_does(done: tuple[Path, Work]) -> None:
    out, work = done
    result = read_result(out / "result.json")
    assert tuple(result.own_models) == NAMES and set(result.at_home) <= set(NAMES) and result.at_home
    for name, scores in result.own_models.items():
        weights = load_model(out / f"model-{name}.safetensors").weights
        expected = evaluate(work.plan.model, weights, work.hold_out)
        assert (scores.accuracy, scores.confusion) == (expected.accuracy, expected.confusion)
    page = (out / "report.html").read_text()
    said = ("Own model: accuracy", "At its mix", "the table of hospitals tells of each one", "stayed there too")
    assert all(words in page for words in said)
    (out / "report.html").unlink()
    write_again(out, ())
    assert (out / "report.html").read_text() == page


def test_a_simulation_that_is_done_is_told_again_without_training_or_scoring(
    done: tuple[Path, Work], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, work = done
    before = read_result(out / "result.json")
    monkeypatch.setattr(Trainer, "train", None)
    again = simulate(_study(work.plan.server.strategy), HERE, data, out)
    assert again.own_models.keys() == before.own_models.keys() and again.at_home == before.at_home


def test_a_round_that_ends_early_leaves_each_hospitals_part_as_it_was(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, whole = _study("fed_per"), tmp_path / "whole"
    simulate(study, HERE, data, whole)
    true_updates, begun = rounds._updates, list[int]()

    def cut(*given: object) -> Iterator[ClientUpdate]:
        begun.append(len(begun))
        for number, update in enumerate(true_updates(*given)):  # type: ignore[arg-type]
            yield update
            if begun == [0, 1] and number == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(rounds, "_updates", cut)
    with pytest.raises(KeyboardInterrupt):
        simulate(study, HERE, data, tmp_path / "cut")
    assert begun == [0, 1]
    simulate(study, HERE, data, tmp_path / "cut")
    for file in ("shared_part", *(f"model-{name}" for name in NAMES)):
        found, expected = ((tmp_path / of / f"{file}.safetensors").read_bytes() for of in ("cut", "whole"))
        assert found == expected, file


def test_an_update_that_is_encoded_holds_nothing_of_what_stays(data: Path) -> None:
    plain, packed = (
        make_work(replace(_study("fed_bn"), update_encoding=encoding), HERE, data) for encoding in ("none", "int8")
    )
    one = plain.hospitals[0]
    exact, encoded = (Trainer(of.plan, of.pictures, 5).train(one, 0, of.first_weights) for of in (plain, packed))
    stays = local_names(plain.plan, plain.first_weights)
    assert set(encoded.update) == set(exact.update) == set(plain.first_weights) - stays
    assert set(encoded.stays) == stays
    assert all(np.array_equal(encoded.stays[name], exact.stays[name]) for name in stays)  # it does not travel
    assert encoded.size_bytes < exact.size_bytes / 2


def test_accuracy_at_home_weights_classes_as_the_hospital_has_them(data: Path) -> None:
    work = make_work(_study("fed_avg"), HERE, data)
    classes = len(work.hold_out.class_names)
    one = replace(work.hospitals[0], first=0, end=4)
    labels = np.zeros(len(work.pictures.labels), np.int64)
    labels[:4] = [0, 0, 0, 1]
    made = replace(work, hospitals=(one,), pictures=replace(work.pictures, labels=labels))
    confusion = np.zeros((classes, classes), np.int64)
    confusion[0, :2], confusion[1, :2] = [6, 4], [5, 5]
    assert at_home(made, {one.name: confusion.tolist()}) == {one.name: pytest.approx(0.75 * 0.6 + 0.25 * 0.5)}
    confusion[1] = 0  # the hold-out has no picture of a class that is at home
    assert at_home(made, {one.name: confusion.tolist()}) == {}
    assert at_home(made, {one.name: ()}) == {}  # findings


def test_a_global_model_is_told_at_each_hospitals_mix_too(data: Path, tmp_path: Path) -> None:
    result = simulate(_study("fed_avg"), HERE, data, tmp_path)
    assert not result.own_models and result.at_home
    assert "own_models" not in (tmp_path / "result.json").read_text()
    assert "Own model" not in (tmp_path / "report.html").read_text()
    (told,) = simulated_words.own_models.spread(result)
    assert re.fullmatch(r"at each hospital's mix of classes: accuracy [01].\d{3} on average, from .* to .*", told)


def test_a_hold_out_that_cannot_be_halved_is_refused_before_anything_is_trained(data: Path, tmp_path: Path) -> None:
    with np.load(data) as arrays:
        np.savez(tmp_path / "one.npz", images=arrays["images"][:1], labels=arrays["labels"][:1])
    with pytest.raises(DataError):
        simulate(_study("fed_per"), HERE, data, tmp_path / "out", test=tmp_path / "one.npz")
    assert not (tmp_path / "out").exists()
