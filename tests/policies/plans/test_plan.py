"""A plan is what was approved: it reads back exactly, its digest stands for it, and nothing odd gets in."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.errors import PlanError
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.plan_json import settings as settings_of
from policies.plans.training import (
    AUGMENTATIONS,
    MAX_ROUNDS,
    MAX_STEPS,
    MAX_VIEWS,
    SCHEDULES,
    UNITS,
    ModelSpec,
    PrivacySpec,
    RunSpec,
    ServerSpec,
    TrainingPlan,
    canonical_json,
)
from policies.plans.words.statement import Statement
from policies.versions.needs import needs

MODEL = ModelSpec("small_cnn", (28, 28, 3), 4, {"width": 16, "groups": 4})
PLAN = TrainingPlan(
    study="blood-cells",
    dataset="smears",
    model=MODEL,
    rounds=10,
    steps_per_round=3,
    sample_rate=0.2,
    learning_rate=0.5,
    privacy=PrivacySpec(2.0, 1.0, 1e-5, "patient"),
)
ALLOCATED: dict[str, Any] = {"sampling": "random_allocation", "sample_rate": 0.2, "steps_per_round": 10}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The plan's JSON values with one of them replaced, or removed if `value` is `...`."""
    values = json.loads(PLAN.to_json())
    *parents, last = path.split(".")
    table = values
    for name in parents:
        table = table[name]
    if value is ...:
        del table[last]
    else:
        table[last] = value
    return values


def read(values: Any) -> TrainingPlan:
    return TrainingPlan.from_json(json.dumps(values))


names = st.from_regex(r"[a-z0-9]([a-z0-9_.-]{0,20}[a-z0-9])?", fullmatch=True)
scalars = st.one_of(
    st.booleans(),
    st.integers(-99, 99),
    st.floats(-9, 9),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,9}", fullmatch=True),
)
models = st.builds(
    ModelSpec,
    names,
    st.tuples(st.integers(1, 4096), st.integers(1, 4096), st.integers(1, 4)),
    st.integers(2, 10_000),
    st.dictionaries(names, scalars, max_size=3),
)
privacies = st.builds(
    PrivacySpec, st.floats(1e-9, 1e5), st.floats(1e-6, 1e4), st.floats(1e-12, 0.01), st.sampled_from(UNITS)
)
runs = st.builds(RunSpec, st.sampled_from(["auto", "cpu"]), st.integers(1, 65_536), st.integers(1, 604_800))
plans = st.builds(
    TrainingPlan,
    study=names,
    dataset=names,
    model=models,
    rounds=st.integers(1, MAX_ROUNDS),
    steps_per_round=st.integers(1, MAX_STEPS),
    sample_rate=st.floats(1e-9, 1.0),
    learning_rate=st.floats(1e-9, 1e3),
    learning_rate_schedule=st.sampled_from(SCHEDULES),
    momentum=st.floats(0, 0.999),
    weight_decay=st.floats(0, 1e3),
    proximal_mu=st.floats(0, 1e3),
    augmentation=st.sampled_from(AUGMENTATIONS[1:]),
    augmentation_multiplicity=st.integers(1, MAX_VIEWS),
    server_momentum=st.floats(0, 0.999),
    server_averaging=st.floats(0, 0.999),
    privacy=st.one_of(st.none(), privacies),
    run=runs,
)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(plans)
def test_any_plan_reads_back_exactly(plan: TrainingPlan) -> None:
    again = TrainingPlan.from_json(plan.to_json())
    assert again == plan
    assert again.to_json() == plan.to_json()
    assert again.digest() == plan.digest()


def test_the_digest_is_the_sha256_of_the_text() -> None:
    assert PLAN.digest() == hashlib.sha256(PLAN.to_json().encode()).hexdigest()


def test_a_plan_of_classes_has_the_text_that_it_had_before_there_were_findings() -> None:
    assert PLAN.digest() == "e82b43c64d1996435110bd7fbeb9567e9aa077ef5f65fbcf59d6fd0dd30647b7"
    assert settings_of(PLAN)["model"]["label_kind"] == "single"


def test_a_plan_of_findings_says_so_and_reads_back() -> None:
    plan = replace(PLAN, model=replace(MODEL, label_kind="multi"))
    assert '"label_kind":"multi"' in plan.to_json()
    assert TrainingPlan.from_json(plan.to_json()) == plan
    assert settings_of(plan)["model"]["label_kind"] == "multi"
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_the_text_is_sorted_and_without_spaces() -> None:
    text = PLAN.to_json()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert text.startswith('{"augmentation":"none","augmentation_multiplicity":1,"dataset":"smears","kind":"training",')


@pytest.mark.parametrize(
    "change",
    [
        {"study": "other"},
        {"dataset": "other"},
        {"model": replace(MODEL, num_classes=5)},
        {"model": replace(MODEL, label_kind="multi")},
        {"model": replace(MODEL, options={"width": 16, "groups": 8})},
        {"rounds": 11},
        {"steps_per_round": 4},
        {"sample_rate": 0.21},
        {"learning_rate": 0.6},
        {"learning_rate_schedule": "cosine"},
        {"momentum": 0.9},
        {"weight_decay": 0.1},
        {"proximal_mu": 0.1},
        {"augmentation": "flips"},
        {"augmentation": "flips", "augmentation_multiplicity": 4},
        {"server_momentum": 0.9},
        {"server_averaging": 0.9},
        {"privacy": None},
        {"privacy": PrivacySpec(1.9, 1.0, 1e-5, "patient")},
        {"privacy": PrivacySpec(2.0, 1.1, 1e-5, "patient")},
        {"privacy": PrivacySpec(2.0, 1.0, 1e-6, "patient")},
        {"privacy": PrivacySpec(2.0, 1.0, 1e-5, "picture")},
        {"run": RunSpec(device="cpu")},
        {"run": RunSpec(timeout_seconds=1)},
    ],
    ids=str,
)
def test_every_change_of_a_plan_changes_its_digest(change: dict[str, Any]) -> None:
    assert replace(PLAN, **change).digest() != PLAN.digest()


def test_every_field_of_a_plan_is_covered_by_the_digest() -> None:
    everything = replace(
        PLAN,
        pictures_per_patient=2,
        statement=Statement(name="Wang"),
        late_updates="dropped",
        server=ServerSpec("krum"),
        objective=ObjectiveSpec("ordinal"),
        **ALLOCATED,
    )
    assert {f.name for f in fields(TrainingPlan)} | {"kind", "version"} == set(json.loads(everything.to_json()))


def test_random_allocation_reads_back_and_asks_for_release_0_3() -> None:
    plan = replace(PLAN, **ALLOCATED)
    assert TrainingPlan.from_json(plan.to_json()) == plan
    assert (plan.allocated_over, plan.steps) == (5, (0.2, 10, 5))
    assert [(need.field, need.minor) for need in needs(plan)] == [("sampling", (0, 3))]
    assert (PLAN.allocated_over, list(needs(PLAN))) == (0, [])
    assert "sampling" not in PLAN.to_json()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sample_rate": 0.3}, "1 over a whole number of steps"),
        ({"sample_rate": 1.0}, "from 2 to 100"),
        ({"sample_rate": 1 / 101, "steps_per_round": 101}, "from 2 to 100"),
        ({"steps_per_round": 7}, "multiple of 5"),
        ({"sampling": "shuffled"}, "poisson, random_allocation"),
    ],
    ids=str,
)
def test_random_allocation_takes_whole_epochs_in_each_round(change: dict[str, Any], told: str) -> None:
    with pytest.raises(PlanError, match=told):
        replace(PLAN, **{**ALLOCATED, **change})


def test_a_plan_is_shortened_to_steps_that_each_have_a_draw_of_their_own() -> None:
    short = replace(PLAN, **ALLOCATED).shortened(3)
    assert (short.steps_per_round, short.sampling, short.sample_rate) == (3, "poisson", 0.2)
    assert PLAN.shortened(10**6) == PLAN


def test_a_strategy_reads_back_and_the_one_that_plans_always_had_is_left_out() -> None:
    plan = replace(PLAN, server=ServerSpec("fed_yogi", server_learning_rate=0.1, server_adaptivity=1e-2))
    assert TrainingPlan.from_json(plan.to_json()) == plan
    assert plan.digest() != PLAN.digest()
    assert '"server":' not in replace(PLAN, server=ServerSpec()).to_json()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"strategy": "fed_magic"}, "one of fed_avg"),
        ({"strategy": "fed_avg", "trimmed_share": 0.2}, "it is for trimmed_mean"),
        ({"strategy": "fed_adagrad", "server_second_momentum": 0.9}, "it is for fed_adam and fed_yogi"),
        ({"strategy": "krum", "faulty_hospitals": -1}, "faulty_hospitals"),
        ({"strategy": "krum", "averaged_hospitals": 1.0}, "averaged_hospitals"),
        ({"strategy": "trimmed_mean", "trimmed_share": 0.5}, "trimmed_share"),
        ({"server_learning_rate": 0}, "server_learning_rate"),
        ({"strategy": "fed_adam", "server_second_momentum": 1.0}, "server_second_momentum"),
        ({"strategy": "fed_adam", "server_adaptivity": 0}, "server_adaptivity"),
    ],
)
def test_a_strategy_has_its_own_settings_and_no_other(given: dict[str, Any], told: str) -> None:
    with pytest.raises(PlanError, match=told):
        ServerSpec(**given)


def test_a_step_that_has_size_one_is_taken_by_a_hundredth() -> None:
    assert ServerSpec().server_learning_rate == ServerSpec("krum").server_learning_rate == 1
    assert ServerSpec("fed_adam").server_learning_rate == ServerSpec("fed_adagrad").server_learning_rate == 0.01
    assert ServerSpec("fed_adam", server_learning_rate=1.0).server_learning_rate == 1


def test_a_strategy_that_is_named_for_a_setting_has_it() -> None:
    with pytest.raises(PlanError, match="proximal_mu is 0, so fed_prox would be fed_avg"):
        replace(PLAN, server=ServerSpec("fed_prox"), proximal_mu=0.0)
    with pytest.raises(PlanError, match="server_momentum is 0, so fed_avg_m would be fed_avg"):
        replace(PLAN, server=ServerSpec("fed_avg_m"), server_momentum=0.0)
    with pytest.raises(PlanError, match="fed_adagrad keeps none"):
        replace(PLAN, server=ServerSpec("fed_adagrad"), server_momentum=0.5)
    assert replace(PLAN, server=ServerSpec("fed_prox"), proximal_mu=0.01).server.strategy == "fed_prox"


def test_scaffold_goes_with_no_setting_that_hides_a_hospitals_mean_gradient() -> None:
    plain = replace(PLAN, momentum=0.0, proximal_mu=0.0)
    assert replace(plain, server=ServerSpec("scaffold")).server.read == ServerSpec().read
    for setting in ("momentum", "proximal_mu"):
        with pytest.raises(PlanError, match=f"{setting} is 0.5, but scaffold"):
            replace(plain, server=ServerSpec("scaffold"), **{setting: 0.5})


def test_models_of_the_hospitals_own_go_with_no_setting_that_changes_them_beside_their_updates() -> None:
    plain = replace(PLAN, server_momentum=0.0, server_averaging=0.0, proximal_mu=0.0)
    assert replace(plain, server=ServerSpec("mr_mtl", mean_pull=0.5)).server.read["mean_pull"] == 0.5
    for setting in ("server_momentum", "server_averaging", "proximal_mu"):
        with pytest.raises(PlanError, match=f"{setting} is 0.5, but with mr_mtl"):
            replace(plain, server=ServerSpec("mr_mtl"), **{setting: 0.5})
    with pytest.raises(PlanError, match=r"server_learning_rate is .*, but with mr_mtl"):
        replace(plain, server=ServerSpec("mr_mtl", server_learning_rate=0.5))
    with pytest.raises(PlanError, match=r"mean_pull is .*, which strategy fed_avg does not read"):
        ServerSpec(mean_pull=0.5)


def test_a_plan_of_an_earlier_strategy_has_the_text_that_it_had() -> None:
    assert "mean_pull" not in replace(PLAN, server=ServerSpec("coordinate_median")).to_json()


def test_the_learning_rates_of_a_round_are_those_of_its_steps() -> None:
    study = replace(PLAN, rounds=2, steps_per_round=3, learning_rate=0.5, learning_rate_schedule="constant")
    assert [study.summed_rates(index) for index in (0, 1)] == [1.5, 1.5]
    cosine = replace(study, learning_rate_schedule="cosine")
    assert cosine.summed_rates(1) == pytest.approx(sum(cosine.learning_rate_at(step) for step in (3, 4, 5)))
    assert cosine.summed_rates(0) > 1.0 > cosine.summed_rates(1) > 0


def test_the_order_of_options_does_not_matter() -> None:
    turned = replace(MODEL, options={"groups": 4, "width": 16})
    assert replace(PLAN, model=turned).digest() == PLAN.digest()


def test_a_plan_cannot_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        PLAN.rounds = 11  # type: ignore[misc]
    with pytest.raises(TypeError):
        PLAN.model.options["width"] = 32  # type: ignore[index]


def test_a_plan_keeps_its_own_copy_of_the_options() -> None:
    options = {"width": 16}
    model = ModelSpec("small_cnn", (28, 28, 3), 4, options)
    options["width"] = 32
    assert model.options["width"] == 16


def test_total_steps_are_rounds_times_steps() -> None:
    assert PLAN.total_steps == 30


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("study", "Blood Cells"),
        ("study", ""),
        ("study", "-x"),
        ("study", "x" * 65),
        ("study", "../etc"),
        ("study", 7),
        ("dataset", None),
        ("rounds", 0),
        ("rounds", MAX_ROUNDS + 1),
        ("rounds", 1.0),
        ("rounds", True),
        ("steps_per_round", 0),
        ("sample_rate", 0.0),
        ("sample_rate", 1.01),
        ("sample_rate", "0.1"),
        ("learning_rate", 0),
        ("learning_rate_schedule", "linear"),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("weight_decay", -1),
        ("proximal_mu", -1),
        ("augmentation", "mixup"),
        ("augmentation_multiplicity", 0),
        ("augmentation_multiplicity", MAX_VIEWS + 1),
        ("augmentation_multiplicity", 2),  # of no augmentation
        ("server_momentum", 1.0),
        ("server_averaging", -0.1),
        ("model", None),
        ("model", "small_cnn"),
        ("model.name", "../x"),
        ("model.image_shape", [28, 28]),
        ("model.image_shape", [28, 28, 5]),
        ("model.image_shape", [0, 28, 3]),
        ("model.image_shape", "28"),
        ("model.num_classes", 1),
        ("model.label_kind", "several"),
        ("model.label_kind", None),
        ("model.options", []),
        ("model.options", {"width": [1]}),
        ("model.options", {"width": None}),
        ("model.options", {"Width!": 1}),
        ("privacy.noise_multiplier", 0),
        ("privacy.noise_multiplier", -1),
        ("privacy.max_grad_norm", 0),
        ("privacy.delta", 0),
        ("privacy.delta", 0.5),
        ("privacy.unit", "hospital"),
        ("privacy", "none"),
        ("privacy", {}),
        ("run", None),
        ("run.device", "cuda"),
        ("run.engine", "functorch"),
        ("run.precision", "float16"),
        ("run.physical_batch_size", 0),
        ("run.batch_margin", 2.9),
        ("run.batch_margin", 21),
        ("run.timeout_seconds", 0),
        ("kind", "evaluation"),
        ("version", 2),
    ],
)
def test_a_value_out_of_range_is_refused(path: str, value: Any) -> None:
    with pytest.raises(PlanError):
        read(changed(path, value))


@pytest.mark.parametrize("path", [*json.loads(PLAN.to_json()), "model.name", "privacy.delta", "run.device"])
def test_a_missing_field_is_refused(path: str) -> None:
    with pytest.raises(PlanError):
        read(changed(path, ...))


@pytest.mark.parametrize("path", ["code", "model.code", "privacy.secure_mode", "run.seed"])
def test_an_unknown_field_is_refused_by_its_name(path: str) -> None:
    with pytest.raises(PlanError, match=f"Unknown field .*{path.split('.')[-1]}"):
        read(changed(path, 1))


@pytest.mark.parametrize("text", ["", "{", "3", "[]", "null", '"plan"', "[" * 100_000])
def test_what_is_not_a_plan_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        TrainingPlan.from_json(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(number: str) -> None:
    text = PLAN.to_json().replace('"learning_rate":0.5', f'"learning_rate":{number}')
    assert number in text
    with pytest.raises(PlanError):
        TrainingPlan.from_json(text)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_canonical_json_refuses_what_json_cannot_say(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(value)


def test_a_refusal_names_the_field_what_was_expected_and_what_came() -> None:
    with pytest.raises(PlanError) as refused:
        replace(PLAN, rounds=0)
    assert refused.value.public == "rounds must be a whole number from 1 to 10000, got 0."


def test_opacus_hooks_are_not_asked_for_half_precision():
    with pytest.raises(PlanError, match=r"float32 only.*book_keeping"):
        RunSpec(engine="opacus", precision="bfloat16")


def test_a_setting_that_came_later_is_left_out_at_its_default_so_that_approved_plans_stay_as_they_are():
    assert "batch_margin" not in PLAN.to_json()
    assert read(json.loads(PLAN.to_json())).run.batch_margin == 5.0
    wider = replace(PLAN, run=RunSpec(batch_margin=6))
    assert read(json.loads(wider.to_json())) == wider != PLAN
    assert wider.digest() != PLAN.digest()
    assert settings_of(PLAN)["run"]["batch_margin"] == 5.0, "people are shown it all the same"


@pytest.mark.parametrize("privacy", [None, PrivacySpec(1.0, 1.0, 1e-5, "picture")])
def test_several_pictures_of_a_patient_need_privacy_for_each_patient(privacy):
    assert replace(PLAN, pictures_per_patient=16).pictures_per_patient == 16
    with pytest.raises(PlanError, match=r"privacy\.unit"):
        replace(PLAN, privacy=privacy, pictures_per_patient=2)
    with pytest.raises(PlanError, match="pictures_per_patient"):
        replace(PLAN, pictures_per_patient=17)
