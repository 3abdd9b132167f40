"""A simulation in one process: its updates are the trainer's, its costs the accountant's, its report a study's."""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.hospitals import draw_pictures
from support.whole_batches import whole_batches

from datasites.training.dp_sgd.loader import Batch
from datasites.training.local_round import train_round
from datasites.training.models import initial_weights
from policies.budget.accountant import epsilon_spent, plan_spend
from policies.contracts.encodings import decode
from policies.errors import ConfigError, DataError, PlanError
from policies.plans.server.server_spec import ServerSpec
from policies.terminal import progress
from researcher.cli import main
from researcher.planning.settings import StudySettings
from researcher.reports.kept_result import read_result, write_again
from researcher.simulation.at_work.cluster import import_ray
from researcher.simulation.at_work.recorded import DrawnAlone, drawn
from researcher.simulation.charges import Charges
from researcher.simulation.rounds import Doing
from researcher.simulation.settings import SimulationSettings
from researcher.simulation.simulate import simulate
from researcher.simulation.trainer import Trainer, randomness
from researcher.simulation.work import make_work
from researcher.strategies import ClientUpdate, KeptWeights
from researcher.studies.checkpoints import load_model
from researcher.studies.history import RoundRecord
from researcher.studies.rounds.outgoing import OutgoingWeights, arrays_for
from researcher.studies.study import strategy_of

STUDY = StudySettings(num_rounds=2, local_epochs=0.5, sample_rate=0.25, epsilon=8.0, model="small_cnn")
HERE = SimulationSettings(hospitals=3, in_process=True, seed=5)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 drawn pictures, of 30 patients at two sites."""
    path = tmp_path_factory.mktemp("data") / "pictures.npz"
    images, labels = draw_pictures(90, seed=1)
    patients = np.array([f"patient {number // 3}" for number in range(90)])
    sites = np.array(["east", "west"])[np.arange(90) // 3 % 2]
    np.savez(path, images=images, labels=labels, groups=patients, sites=sites, split_patient=np.arange(90) % 2)
    return path


@pytest.fixture(scope="module")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("done") / "simulation"
    simulate(STUDY, HERE, data, out)
    return out


def test_empty_places_are_not_computed_and_change_nothing_but_rounding(data: Path, done: Path, tmp_path: Path) -> None:
    with whole_batches():
        simulate(STUDY, HERE, data, tmp_path / "out")
    one, other = (load_model(folder / "global_model.safetensors").weights for folder in (done, tmp_path / "out"))
    assert all(np.abs(one[name] - other[name]).max() <= 1e-6 for name in one)

    rows = list[tuple[int, int, int]]()

    def note(batch: Batch) -> list[torch.Tensor]:
        rows.append((len(batch.inputs), len(batch.labels), int(batch.counted.sum())))
        return []

    inputs, labels = torch.arange(6.0).view(6, 1), torch.arange(6)  # three places in two views
    for counted in ([True, False, True], [True] * 3, [False] * 3):
        DrawnAlone(note)([Batch(inputs, labels, torch.tensor(counted))])
    assert rows == [(4, 4, 2), (6, 6, 3), (0, 0, 0)]
    found = drawn(Batch((inputs, -inputs), labels[:3], torch.tensor([False, True, True])))
    assert [part.flatten().tolist() for part in found.inputs] == [[1, 2, 4, 5], [-1, -2, -4, -5]]
    assert (found.labels.tolist(), found.counted.tolist()) == ([1, 2], [True, True])


def test_updates_are_those_of_bare_calls_of_the_trainer_to_the_last_bit(data: Path, tmp_path: Path) -> None:
    with whole_batches():
        simulate(STUDY, HERE, data, tmp_path / "done")
    work = make_work(STUDY, HERE, data)
    strategy = strategy_of(work.plan)
    state = strategy.init(initial_weights(work.plan.model, HERE.seed))
    for number in range(2):
        updates = [
            ClientUpdate(
                one.name,
                train_round(
                    work.plan,
                    number,
                    state.weights,
                    work.pictures.of(one),
                    random=randomness(HERE.seed, one.name, number),
                ),
                float(one.public_size),
                steps=work.plan.steps_per_round,
            )
            for one in work.hospitals
        ]
        state = strategy.apply(state, updates)
    found = load_model(tmp_path / "done" / "global_model.safetensors").weights
    assert all(np.array_equal(found[name], state.model[name]) for name in state.model)


@pytest.mark.parametrize("strategy", ["scaffold", "mr_mtl"])
def test_hospitals_are_sent_arrays_of_their_own_as_in_a_study_also_after_an_interruption(
    data: Path, tmp_path: Path, strategy: str
) -> None:
    study = replace(STUDY, server=ServerSpec(strategy), weights_encoding="fp16")
    work = make_work(study, HERE, data)
    folds = strategy_of(work.plan)
    state = replace(folds.init(initial_weights(work.plan.model, HERE.seed)), kept=KeptWeights(tmp_path / "kept"))
    sent = []
    for number in range(2):
        updates = []
        for one in work.hospitals:
            arrays = arrays_for(folds, work.plan, state, one.name)
            content = OutgoingWeights.encode(arrays, work.plan, number).content
            shapes = {name: array.shape for name, array in arrays.items()}
            weights = decode(content, shapes, "fp16", max_bytes=len(content))
            random = randomness(HERE.seed, one.name, number)
            update = train_round(work.plan, number, weights, work.pictures.of(one), random=random)
            steps, rates = work.plan.steps_per_round, work.plan.summed_rates(number)
            updates.append(ClientUpdate(one.name, update, float(one.public_size), steps=steps, summed_rates=rates))
            sent.append(len(content))
        state = folds.apply(state, updates)

    def stop(record: RoundRecord) -> None:
        raise KeyboardInterrupt

    with whole_batches():
        with pytest.raises(KeyboardInterrupt):
            simulate(study, HERE, data, tmp_path / "out", on_round=stop)
        result = simulate(study, HERE, data, tmp_path / "out")
    expected = {"global_model": state.model}
    if strategy == "mr_mtl":
        assert state.kept is not None
        expected |= {f"model-{one.name}": state.kept.read(one.name) or {} for one in work.hospitals}
    for file, weights in expected.items():
        found = load_model(tmp_path / "out" / f"{file}.safetensors").weights
        assert all(np.array_equal(found[name], weights[name]) for name in state.model)
    assert [one.bytes_up for one in result.rounds] == [sum(sent[:3]), sum(sent[3:])]
    assert len(list((tmp_path / "out").glob("model-*.safetensors"))) == len(expected) - 1


def test_hospitals_of_other_sizes_train_as_if_each_had_a_worker_of_its_own(data: Path) -> None:
    uneven = SimulationSettings(hospitals=3, split="dirichlet", alpha=0.3, in_process=True)
    work = make_work(STUDY, uneven, data)
    assert len({one.public_size for one in work.hospitals}) > 1
    weights, shared = initial_weights(work.plan.model, 0), Trainer(work.plan, work.pictures, 0)
    for one in work.hospitals:
        own = Trainer(work.plan, work.pictures, 0).train(one, 0, weights).update
        found = shared.train(one, 0, weights).update
        assert all(np.array_equal(found[name], own[name]) for name in own)


@pytest.mark.parametrize("encoding", ["zstd", "fp16", "int8"])
def test_an_update_is_what_its_encoding_makes_of_it_and_the_same_when_it_is_made_again(
    data: Path, encoding: str
) -> None:
    work = make_work(StudySettings(num_rounds=1, update_encoding=encoding), HERE, data)
    plain = make_work(StudySettings(num_rounds=1), HERE, data)
    weights = initial_weights(work.plan.model, 0)
    hospital = work.hospitals[0]
    exact = Trainer(plain.plan, plain.pictures, 0).train(hospital, 0, weights)
    one, again = (Trainer(work.plan, work.pictures, 0).train(hospital, 0, weights) for _ in range(2))
    assert one.size_bytes < exact.size_bytes + (1 << 10)
    for name, values in exact.update.items():
        assert np.array_equal(one.update[name], again.update[name])
        assert np.array_equal(one.update[name], values) == (encoding == "zstd")


def test_each_hospital_is_charged_what_the_accountant_says_of_the_plan(done: Path, data: Path) -> None:
    plan = make_work(STUDY, HERE, data).plan
    assert plan.privacy is not None
    expected = epsilon_spent(plan_spend(plan), plan.privacy.delta)
    result = read_result(done / "result.json")
    assert {name: one.epsilon for name, one in result.privacy.items() if one} == {
        f"hospital_{number}": expected for number in (1, 2, 3)
    }
    assert expected == pytest.approx(8.0, rel=0.02)
    first, last = (record.epsilon["hospital_1"] for record in result.rounds)
    assert 0 < first < last == expected


def test_a_round_that_begins_again_is_charged_once(data: Path) -> None:
    charges = Charges(make_work(STUDY, HERE, data).plan, 0, ("a", "b"))
    charges.begin("a", 0)
    once = charges.epsilon()
    charges.begin("a", 0)
    assert charges.epsilon() == once and set(once) == {"a"}
    of_then = charges.so_far()
    charges.begin("a", 1)
    assert charges.epsilon()["a"] > once["a"] and of_then() == once


def test_the_report_says_that_it_was_simulated_and_promises_nothing_also_when_it_is_written_again(done: Path) -> None:
    def page() -> str:
        return (done / "report.html").read_text()

    said = ("made-up hospitals", "A simulation promises nothing", "nobody was asked", "simulation report")
    assert all(words in page() for words in said)
    assert "stayed where they are" not in page() and "by a factor of at most" not in page()
    (done / "report.html").unlink()
    write_again(done, ())
    assert all(words in page() for words in said)


def test_pictures_that_are_scored_on_and_trained_on_are_told_before_the_first_round_and_in_the_report(
    data: Path, done: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    one = StudySettings(num_rounds=1, local_epochs=0.25, sample_rate=0.25, epsilon=8.0, model="small_cnn")
    simulate(
        one,
        HERE,
        data,
        tmp_path / "out",
        test=data,
        on_shared=told.append,
        on_round=lambda record: told.append(f"round {record.round}"),
    )
    said = "90 of the 90 pictures that are scored on have exactly the pixels of one that is trained on"
    assert told[0].startswith(said) and told[1:] == ["round 1"]
    assert said in (tmp_path / "out" / "report.html").read_text()
    assert "pictures that are scored on" not in (done / "report.html").read_text()


def test_the_global_models_own_record_says_of_no_hospital_that_it_was_private(done: Path) -> None:
    about = json.loads((done / "global_model.json").read_text())
    assert about["privacy"] == dict.fromkeys(("hospital_1", "hospital_2", "hospital_3"))


def test_a_simulation_that_was_interrupted_goes_on_to_the_same_end(data: Path, done: Path, tmp_path: Path) -> None:
    def stop(record: RoundRecord) -> None:
        raise KeyboardInterrupt

    told: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        simulate(STUDY, HERE, data, tmp_path / "out", on_round=stop)
    result = simulate(STUDY, HERE, data, tmp_path / "out", on_round=lambda record: told.append(record.round))
    assert told == [2] and len(result.rounds) == 2
    ends = [load_model(folder / "global_model.safetensors").weights for folder in (done, tmp_path / "out")]
    assert all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert result.final.epsilon == read_result(done / "result.json").final.epsilon


def test_a_folder_of_another_simulation_or_of_something_else_is_left_alone(
    data: Path, done: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in done.iterdir()}
    other = SimulationSettings(hospitals=3, in_process=True, seed=HERE.seed + 1)
    with pytest.raises(ConfigError, match=rf"other settings or data \(--seed was {HERE.seed}\)\."):
        simulate(STUDY, other, data, done)
    with pytest.raises(ConfigError, match=r"other settings or data \(the plan's settings\)\."):
        simulate(replace(STUDY, learning_rate=0.25), HERE, data, done)
    assert {path.name: path.read_bytes() for path in done.iterdir()} == before
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(ConfigError, match="something else"):
        simulate(STUDY, HERE, data, tmp_path)


def test_patients_are_the_unit_and_no_patient_is_at_two_hospitals_nor_in_the_hold_out(data: Path) -> None:
    work = make_work(STUDY, SimulationSettings(hospitals=4, unit="patient", in_process=True), data)
    assert work.plan.privacy is not None and work.plan.privacy.unit == "patient"
    assert sum(work.pictures.of(one).num_units for one in work.hospitals) == 24  # a fifth of 30 is held back
    assert all(len(work.pictures.of(one).images) == 3 * work.pictures.of(one).num_units for one in work.hospitals)
    held, kept = ({image.tobytes() for image in images} for images in (work.hold_out.images, work.pictures.images))
    assert len(held) == 18 and not held & kept


def test_sites_of_the_file_are_hospitals(data: Path) -> None:
    work = make_work(STUDY, SimulationSettings(split="column", column="site", in_process=True), data)
    assert work.record["hospitals"] == {"hospital_1": "east", "hospital_2": "west"}


def test_a_column_that_is_not_there_or_cuts_a_patient_is_refused(data: Path) -> None:
    with pytest.raises(DataError, match="no column 'stain'"):
        make_work(STUDY, SimulationSettings(split="column", column="stain"), data)
    with pytest.raises(DataError, match="several values"):
        make_work(STUDY, SimulationSettings(split="column", column="split_patient", unit="patient"), data)


def test_a_strategy_that_needs_more_of_hospitals_is_refused_before_anything_is_trained(
    data: Path, tmp_path: Path
) -> None:
    study = replace(STUDY, server=ServerSpec("dp_fc"), model="scattering_linear")
    with pytest.raises((ConfigError, PlanError), match="dp_fc"):
        simulate(study, HERE, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    true_import = builtins.__import__

    def without(name: str, *rest: Any, fromlist: Sequence[str] = ()) -> Any:
        if name == "ray":
            raise ImportError(name)
        return true_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="make simulation"):
        import_ray()


def test_it_is_told_which_hospital_is_at_which_round_and_how_much_is_left_also_after_an_interruption(
    data: Path, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []

    def note(doing: Doing) -> None:
        told.append((str(doing), doing.done, doing.total))

    def stop(record: RoundRecord) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(STUDY, HERE, data, tmp_path / "out", on_round=stop, on_progress=note)
    # 2 rounds of 2 steps at 3 hospitals: told before the first step, after each step, and after each hospital.
    first = [("hospital_1", 0), ("hospital_1", 1), ("hospital_1", 2), ("hospital_1", 2), ("hospital_2", 3)]
    assert told[:5] == [(f"round 1 of 2, {name}", done, 12) for name, done in first]
    assert ("round 1 of 2, scoring the model", 6, 12) in told
    assert told[-1] == ("round 2 of 2, hospital_1", 8, 12), "a round is told once the next one's first update is in"
    told.clear()
    simulate(STUDY, HERE, data, tmp_path / "out", on_progress=note)
    assert told[0] == ("round 2 of 2, hospital_1", 0, 6)
    assert told[-1] == ("round 2 of 2, scoring the model", 6, 6)


def test_the_command_says_what_it_does_where_a_step_takes_long(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]

    def later() -> float:
        now[0] += 10
        return now[0]

    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=later))
    words = ["--hospitals", "3", "--in_process", "--num_rounds", "1", "--local_epochs", "0.5", "--sample_rate", "0.25"]
    assert main(["simulate", "--data", str(data), "--out", str(tmp_path / "out"), *words]) == 0
    told = capsys.readouterr()
    assert re.search(r"^Steps of training: 1 of 6 \(round 1 of 1, hospital_1\)$", told.err, re.M)
    assert re.search(r"^Steps of training: 2 of 6 \(round 1 of 1, hospital_1\), \d:\d\d:\d\d left$", told.err, re.M)
    assert "Steps of training" not in told.out and "round 1: accuracy" in told.out
    assert "Its noise follows from the seed and protects nobody" in told.out


def test_the_command_says_of_a_plan_without_privacy_that_there_is_no_noise(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--hospitals", "2", "--in_process", "--num_rounds", "1", "--sample_rate", "0.5", "--no-dp"]
    assert main(["simulate", "--data", str(data), "--out", str(tmp_path / "out"), *words]) == 0
    told = capsys.readouterr().out
    assert "It has no noise and protects nobody" in told and "follows from the seed" not in told
