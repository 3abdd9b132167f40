"""What a command line leaves out holds as it does in Python; what it names is obeyed or refused, never dropped."""

from __future__ import annotations

import inspect
import json
import warnings
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import references
from support.signed_studies import PLAN

from policies.answers.hospital import BudgetAnswer
from policies.errors import ConfigError, DatasiteUnreachable, PlanError
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.server.local_part import LOCAL
from policies.plans.server.server_spec import STRATEGIES
from policies.plans.training import RunSpec, ServerSpec, TrainingPlan
from policies.settings import declared
from researcher.notebook.settings import settings_of
from researcher.planning.count_settings import CountSettings, GramSettings
from researcher.planning.settings import StudySettings

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.cli import main, studies
    from researcher.cli.program import make_program
    from researcher.cli.study_options import study_settings_of
    from researcher.hospitals.connections.connecting import Away
    from researcher.hospitals.credentials import Credentials
    from researcher.hospitals.federation import Federation
    from researcher.hospitals.hospital import DatasetInfo
    from researcher.planning.planning import make_plan
    from researcher.strategies import STRATEGIES as STRATEGY_KINDS
    from researcher.studies.study import STUDY_FILE, Study, strategy_of

DATASETS = [DatasetInfo("north", "cells", ("a", "b"), (28, 28, 3), "patient", 500, {})]
# A value of each setting of a plan, other than its default.
OTHER: dict[str, Any] = {
    "learning_rate_schedule": "constant",
    "momentum": 0.5,
    "weight_decay": 0.01,
    "proximal_mu": 0.1,
    "augmentation": "flips",
    "augmentation_multiplicity": 2,
    "server_momentum": 0.25,
    "server_averaging": 0.75,
    "weights_encoding": "fp16",
    "update_encoding": "int8",
    "pictures_per_patient": 4,
    "late_updates": "dropped",
    "sampling": "random_allocation",
}
OTHER_RUN = {
    "device": "cpu",
    "physical_batch_size": 8,
    "timeout_seconds": 60,
    "engine": "opacus",
    "precision": "bfloat16",
    "batch_margin": 4.0,
}

# A setting of the server, the strategy that reads it, and a value.
OTHER_SERVER: list[tuple[str, str, Any]] = [
    ("strategy", "coordinate_median", "coordinate_median"),
    ("server_learning_rate", "fed_avg", 0.5),
    ("server_second_momentum", "fed_yogi", 0.9),
    ("server_adaptivity", "fed_adagrad", 0.01),
    ("trimmed_share", "trimmed_mean", 0.25),
    ("faulty_hospitals", "krum", 2),
    ("averaged_hospitals", "krum", 3),
    ("server_ridge", "dp_fc", 2.5),
    ("mean_pull", "mr_mtl", 0.5),
]
# A setting of the objective, as an option and as a value, and the kind of labels that it is for.
OTHER_OBJECTIVE: list[tuple[str, str, Any, str]] = [
    ("loss", "ordinal", "ordinal", "single"),
    ("label_smoothing", "0.1", 0.1, "single"),
    ("class_weights", "1,2.5", (1.0, 2.5), "single"),
    ("present_weights", "4,0.5", (4.0, 0.5), "multi"),
]


def options(*words: str) -> dict[str, Any]:
    return references.understood(make_program(), words)


@pytest.mark.parametrize("command", [("submit",), ("train", "--test", "hold_out.npz")])
def test_a_study_of_the_command_line_is_by_default_that_of_python(command: tuple[str, ...]) -> None:
    assert study_settings_of(options(*command)) == StudySettings()


def test_counts_are_by_default_those_of_python() -> None:
    given = {name: value for name, value in options("statistics").items() if name in declared(CountSettings)}
    assert set(given) == {one.name for one in fields(CountSettings)}
    assert set(given.values()) == {None}


def test_a_gram_matrix_is_by_default_that_of_python() -> None:
    given = options("gram")
    for one in declared(GramSettings):
        assert given[one] is None
    assert set(declared(GramSettings)) | {"options"} == {one.name for one in fields(GramSettings)}


def test_rounds_take_by_default_as_many_hospitals_as_in_python() -> None:
    default = inspect.signature(Study.run).parameters["min_clients"].default
    assert options("train", "--test", "hold_out.npz")["min_clients"] == default


def test_every_setting_of_a_plan_has_an_option() -> None:
    made = set(options("submit"))
    follow = {
        "dataset",
        "model",
        "steps_per_round",
        "privacy",
        "run",
        "server",
        "objective",
    }  # from other options, or from the datasets
    named = {"rounds": "num_rounds"}
    for one in fields(TrainingPlan):
        assert one.name in follow or named.get(one.name, one.name) in made, one.name
    assert {one.name for kind in (RunSpec, ServerSpec, ObjectiveSpec) for one in fields(kind)} <= made
    assert set(declared(TrainingPlan)) == set(OTHER) and set(declared(RunSpec)) == set(OTHER_RUN)
    assert set(declared(ServerSpec)) == {name for name, _, _ in OTHER_SERVER}
    assert set(declared(ObjectiveSpec)) == {name for name, _, _, _ in OTHER_OBJECTIVE}


@pytest.mark.parametrize(("name", "value"), OTHER.items())
def test_an_option_of_a_plans_setting_ends_in_the_plan(name: str, value: Any) -> None:
    more = ("--augmentation", "flips") if name == "augmentation_multiplicity" else ()
    given = options("submit", f"--{name}", str(value), "--noise_multiplier", "2", "--model", "linear", *more)
    assert getattr(make_plan(study_settings_of(given), DATASETS), name) == value


@pytest.mark.parametrize(("name", "value"), OTHER_RUN.items())
def test_an_option_of_performance_ends_in_the_plan(name: str, value: Any) -> None:
    given = options("submit", f"--{name}", str(value), "--no-dp", "--model", "linear")
    assert getattr(make_plan(study_settings_of(given), DATASETS).run, name) == value


@pytest.mark.parametrize(("name", "strategy", "value"), OTHER_SERVER)
def test_an_option_of_the_server_ends_in_the_plan_from_the_command_line_and_from_python(
    name: str, strategy: str, value: Any
) -> None:
    words = ["submit", "--strategy", strategy, "--noise_multiplier", "2", "--model", "linear"]
    given = options(*words, *([f"--{name}", str(value)] if name != "strategy" else []))
    plan = make_plan(study_settings_of(given), DATASETS)
    assert (plan.server.strategy, getattr(plan.server, name)) == (strategy, value)
    keywords = {"strategy": strategy, name: value, "noise_multiplier": 2.0, "model": "linear"}
    assert make_plan(settings_of(keywords), DATASETS) == plan


@pytest.mark.parametrize(("name", "word", "value", "label_kind"), OTHER_OBJECTIVE)
def test_an_option_of_the_objective_ends_in_the_plan_from_the_command_line_and_from_python(
    name: str, word: str, value: Any, label_kind: str
) -> None:
    datasets = [replace(DATASETS[0], label_kind=label_kind)]
    given = options("submit", f"--{name}", word, "--noise_multiplier", "2", "--model", "linear")
    plan = make_plan(study_settings_of(given), datasets)
    assert plan.objective == ObjectiveSpec(**{name: value})
    assert make_plan(settings_of({name: value, "noise_multiplier": 2.0, "model": "linear"}), datasets) == plan


def test_numbers_that_cannot_be_read_are_refused_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "--class_weights", "1;2"]) == 2
    assert "--class_weights" in capsys.readouterr().err


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_goes_with_the_recipe(strategy: str) -> None:
    mu = {"proximal_mu": 0.1} if strategy == "fed_prox" else {}
    model = "small_cnn" if strategy in LOCAL else "linear"  # of which a part can stay at each hospital
    plan = make_plan(settings_of({"recipe": "auto", "model": model, "strategy": strategy, **mu}), DATASETS)
    made = strategy_of(plan)
    told = {one.name: getattr(made, one.name) for one in fields(STRATEGY_KINDS[strategy]) if one.name != "gram"}
    assert told == {
        **plan.server.read,
        "server_momentum": plan.server_momentum,
        "server_averaging": told["server_averaging"],
    }


@pytest.mark.parametrize("name", [one.name for one in declared(StudySettings).values() if one.derived])
def test_a_setting_that_a_recipe_derives_is_refused_beside_it_whatever_its_value(name: str) -> None:
    default = declared(StudySettings)[name].default
    value: Any = 2.0 if default is None else default
    with pytest.raises(ConfigError, match=f"{name} is derived by recipe auto"):
        StudySettings(recipe="auto", **{name: value})
    with pytest.raises(ConfigError, match=f"{name} is derived by recipe auto"):
        study_settings_of(options("submit", "--recipe", "auto", f"--{name}", str(value)))


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "--no-dp", "--epsilon", "3"),
        ("submit", "--no-dp", "--noise_multiplier", "2"),
        ("submit", "--no-dp", "--max_grad_norm", "1"),
        ("submit", "--no-dp", "--delta", "1e-5"),
        ("submit", "--noise_multiplier", "2", "--epsilon", "3"),
        ("train", "--test", "x.npz", "--noise_multiplier", "2", "--repetitions", "1"),
        ("evaluate", "x.safetensors", "--test", "x.npz", "--noise_multiplier", "20"),
        ("evaluate", "x.safetensors", "--test", "x.npz", "--credentials", "x.json"),
        ("evaluate", "x.safetensors", "--test", "x.npz", "--out", "out/evaluation"),
        ("evaluate", "x.safetensors", "--at_hospitals", "--test", "x.npz"),
    ],
    ids=" ".join,
)
def test_options_that_contradict_each_other_are_refused_before_anything_is_asked(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "connect", lambda credentials, **more: pytest.fail("a hospital was asked"))
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"python -m researcher {words[0]}: error: --")


def test_who_goes_on_with_a_study_is_told_that_options_of_its_plan_change_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / STUDY_FILE).write_text(json.dumps({"plan": PLAN.to_json(), "requests": {}}))
    model = SimpleNamespace(name="linear", label_kind="single")
    study = SimpleNamespace(plan=SimpleNamespace(dataset="cells", model=model), held=nullcontext)
    info = SimpleNamespace(class_names=("a", "b"), image_shape=(8, 8, 1), form=None, label_kind="single")
    federation = SimpleNamespace(hospitals={"north": SimpleNamespace(datasets={"cells": info})})
    monkeypatch.setattr(studies, "connect", lambda credentials, **more: nullcontext(federation))
    monkeypatch.setattr("researcher.studies.study.Study.load", lambda federation, folder: study)
    words = ["train", "--out", str(tmp_path), "--test", str(tmp_path / "none.npz")]
    assert main([*words, "--num_rounds", "9", "--no-dp"]) == 1  # there is no hold-out
    assert "changes nothing: --num_rounds --no-dp" in capsys.readouterr().out
    assert main(words) == 1
    assert "changes nothing" not in capsys.readouterr().out


@pytest.mark.parametrize("rounds", [0, -1])
def test_no_study_has_no_rounds(rounds: int) -> None:
    with pytest.raises(PlanError, match="num_rounds"):
        study_settings_of(options("submit", "--num_rounds", str(rounds)))


def federation_of(*names: str) -> Federation:
    offered = {name: replace(DATASETS[0], datasite=name) for name in names}
    left = SimpleNamespace(budget=lambda name: BudgetAnswer(epsilon_total=8.0, epsilon_left=8.0, delta=1e-5))
    hospitals: list[Any] = [
        SimpleNamespace(name=name, datasets={"cells": found}, routes=left) for name, found in offered.items()
    ]
    east = Credentials("east", "https://east.example.org", "me@x.org", "p", "A", "C", "K")
    return Federation(hospitals, away=[Away(east, DatasiteUnreachable("Nothing listens there."))])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--min_clients", "4"), "number of hospitals, which is 3"),
        (("--min_clients", "3"), "2 of 3 hospitals are there (east: WW705: Nothing listens there.)"),
        (("--min_clients", "0"), "must be from 1"),
        (("--strategy", "krum"), "needs 5 client updates a round, min_clients is 2"),
        (("--test", "typo.npz"), "typo.npz"),
    ],
)
def test_train_finds_what_cannot_work_before_anything_is_submitted(
    words: tuple[str, ...],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (6, 28, 28, 3), dtype=np.uint8), np.arange(6) % 2
    np.savez(tmp_path / "test.npz", images=images, labels=labels, class_names=np.array(["a", "b"]))
    monkeypatch.setattr(studies, "connect", lambda credentials, **more: nullcontext(federation_of("north", "south")))
    monkeypatch.setattr(Study, "submit", lambda *_: pytest.fail("it was submitted"))
    begun = ["train", "--out", str(tmp_path / "out"), "--model", "linear", "--noise_multiplier", "9"]
    assert main([*begun, "--test", str(tmp_path / "test.npz"), *words]) == 1
    assert told in capsys.readouterr().err
