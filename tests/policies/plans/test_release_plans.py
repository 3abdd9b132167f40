"""Plans that release counts: they read back exactly, a digest stands for each, and the noise fits what is released."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.errors import PlanError
from policies.plans.kinds import Plan, parse
from policies.plans.releases import MAX_SCORE_BINS, EvaluationPlan, GramPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import MAX_ROUNDS, UNITS, ModelSpec, RunSpec
from policies.plans.words.statement import Statement

MODEL = ModelSpec("small_cnn", (28, 28, 3), 4, {"width": 16})
NOISE = ReleaseSpec(20.0, 1e-5, "patient")
EVALUATION = EvaluationPlan("blood-cells", "smears", MODEL, rounds=3, privacy=NOISE, score_bins=10)
STATISTICS = StatisticsPlan("blood-cells", "smears", (28, 28, 3), 4, NOISE, rounds=2)
PLANS: tuple[EvaluationPlan | StatisticsPlan, ...] = (EVALUATION, STATISTICS)
both = pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.kind)

names = st.from_regex(r"[a-z0-9]([a-z0-9_.-]{0,20}[a-z0-9])?", fullmatch=True)
shapes = st.tuples(st.integers(1, 4096), st.integers(1, 4096), st.integers(1, 4))
classes = st.integers(2, 10_000)
releases = st.builds(ReleaseSpec, st.floats(1e-3, 1e5), st.floats(1e-12, 0.01), st.sampled_from(UNITS))
runs = st.builds(RunSpec, st.sampled_from(["auto", "cpu"]), st.integers(1, 65_536), st.integers(1, 604_800))
evaluations = st.builds(
    EvaluationPlan,
    study=names,
    dataset=names,
    model=st.builds(ModelSpec, names, shapes, classes, st.dictionaries(names, st.floats(-9, 9), max_size=2)),
    rounds=st.integers(1, MAX_ROUNDS),
    privacy=releases,
    score_bins=st.sampled_from([0, *range(2, MAX_SCORE_BINS + 1)]),
    run=runs,
)
statistics = st.builds(
    StatisticsPlan,
    study=names,
    dataset=names,
    image_shape=shapes,
    num_classes=classes,
    privacy=releases,
    rounds=st.integers(1, MAX_ROUNDS),
    run=runs,
)


def changed(plan: Plan, path: str, value: Any) -> str:
    """The plan's JSON with one of its values replaced, or removed if `value` is `...`."""
    values = json.loads(plan.to_json())
    *parents, last = path.split(".")
    table = values
    for name in parents:
        table = table[name]
    if value is ...:
        del table[last]
    else:
        table[last] = value
    return json.dumps(values)


# --- text and digest ---


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.one_of(evaluations, statistics))
def test_any_plan_reads_back_exactly(plan: EvaluationPlan | StatisticsPlan) -> None:
    for again in (type(plan).from_json(plan.to_json()), parse(plan.to_json())):
        assert type(again) is type(plan)
        assert again == plan
        assert again.to_json() == plan.to_json()
        assert again.digest() == plan.digest()


@both
def test_the_digest_is_the_sha256_of_the_text(plan: EvaluationPlan | StatisticsPlan) -> None:
    assert plan.digest() == hashlib.sha256(plan.to_json().encode()).hexdigest()


@both
def test_every_field_of_a_plan_is_in_its_text(plan: EvaluationPlan | StatisticsPlan) -> None:
    values = json.loads(replace(of_findings(plan), statement=Statement(name="Wang")).to_json())
    assert set(values) == {f.name for f in fields(plan)} | {"kind", "version"}
    assert set(values["privacy"]) == {f.name for f in fields(ReleaseSpec)}
    assert values["kind"] == plan.kind


def of_findings(plan: EvaluationPlan | StatisticsPlan) -> EvaluationPlan | StatisticsPlan:
    """The same plan for a dataset in which each class is a finding."""
    if isinstance(plan, StatisticsPlan):
        return replace(plan, label_kind="multi")
    return replace(plan, model=replace(plan.model, label_kind="multi"))


@pytest.mark.parametrize(
    ("plan", "digest"),
    [
        (EVALUATION, "a92e6a69b4ecd08b723e39ac79df5d34e7327e582defe1bf6eb4b04711af47e6"),
        (STATISTICS, "539f6382d3fa69ec62dfeee663c483c3e51b082dbf2429bd937e7e53df1bd606"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_plans_of_classes_have_the_text_that_they_had_before_there_were_findings(
    plan: EvaluationPlan | StatisticsPlan, digest: str
) -> None:
    assert plan.digest() == digest
    other = of_findings(plan)
    assert other.digest() != digest
    assert parse(other.to_json()) == other


CHANGES: dict[str, Any] = {
    "study": "other",
    "dataset": "other",
    "rounds": 7,
    "model": replace(MODEL, num_classes=5),
    "score_bins": 0,
    "image_shape": (28, 28, 1),
    "num_classes": 5,
    "privacy": ReleaseSpec(20.5, 1e-5, "patient"),
    "run": RunSpec(device="cpu"),
    "label_kind": "multi",
    "statement": Statement(name="Wang"),
}


@both
def test_a_change_of_any_field_changes_the_digest(plan: EvaluationPlan | StatisticsPlan) -> None:
    digests = [replace(plan, **{f.name: CHANGES[f.name]}).digest() for f in fields(plan)]
    assert len({plan.digest(), *digests}) == len(fields(plan)) + 1


@both
@pytest.mark.parametrize("change", [{"noise_multiplier": 21.0}, {"delta": 1e-6}, {"unit": "picture"}], ids=str)
def test_a_change_of_the_privacy_changes_the_digest(plan: EvaluationPlan | StatisticsPlan, change: Any) -> None:
    assert replace(plan, privacy=replace(NOISE, **change)).digest() != plan.digest()


@both
def test_a_plan_cannot_be_changed_in_place(plan: EvaluationPlan | StatisticsPlan) -> None:
    with pytest.raises(FrozenInstanceError):
        plan.rounds = 9  # type: ignore[misc]


# --- what is released, and what it costs ---


@pytest.mark.parametrize(
    ("num_classes", "score_bins", "sensitivity"),
    [(2, 0, 1.0), (9, 0, 1.0), (3, 2, 2.0), (8, 200, 3.0), (3, 50, 2.0)],
)
def test_a_unit_adds_one_to_a_cell_and_one_for_each_class_to_the_histograms(
    num_classes: int, score_bins: int, sensitivity: float
) -> None:
    plan = replace(EVALUATION, model=replace(MODEL, num_classes=num_classes), score_bins=score_bins)
    assert plan.sensitivity == sensitivity


@pytest.mark.parametrize(("channels", "sensitivity"), [(1, math.sqrt(3)), (3, math.sqrt(7)), (4, 3.0)])
def test_a_unit_adds_one_class_and_two_numbers_up_to_one_for_each_channel(channels: int, sensitivity: float) -> None:
    assert replace(STATISTICS, image_shape=(28, 28, channels)).sensitivity == sensitivity


@pytest.mark.parametrize(("findings", "score_bins", "square"), [(2, 0, 2), (14, 0, 14), (2, 20, 4), (14, 20, 28)])
def test_a_unit_adds_one_for_each_finding_to_the_counts_and_one_to_the_histograms(
    findings: int, score_bins: int, square: int
) -> None:
    model = replace(MODEL, num_classes=findings, label_kind="multi")
    assert replace(EVALUATION, model=model, score_bins=score_bins).sensitivity == math.sqrt(square)


@pytest.mark.parametrize(("findings", "channels", "square"), [(2, 1, 4), (14, 1, 16), (14, 3, 20)])
def test_a_unit_adds_one_for_each_finding_and_two_numbers_up_to_one_for_each_channel(
    findings: int, channels: int, square: int
) -> None:
    plan = replace(STATISTICS, image_shape=(28, 28, channels), num_classes=findings, label_kind="multi")
    assert plan.sensitivity == math.sqrt(square)


def test_of_findings_counts_by_truth_and_by_prediction_are_released_and_of_statistics_what_is_unknown_too() -> None:
    assert of_findings(EVALUATION).outputs == {"finding_counts": (4, 2, 2), "scores": (4, 2, 10)}
    assert of_findings(replace(EVALUATION, score_bins=0)).outputs == {"finding_counts": (4, 2, 2)}
    expected = {"finding_counts": (4, 3), "channel_sums": (3,), "channel_square_sums": (3,)}
    assert of_findings(STATISTICS).outputs == expected


def test_an_evaluation_releases_the_matrix_and_the_histograms_that_were_asked_for() -> None:
    assert EVALUATION.outputs == {"confusion": (4, 4), "scores": (4, 2, 10)}
    assert replace(EVALUATION, score_bins=0).outputs == {"confusion": (4, 4)}


def test_statistics_release_class_counts_and_two_sums_for_each_channel() -> None:
    expected = {"class_counts": (4,), "channel_sums": (3,), "channel_square_sums": (3,)}
    assert STATISTICS.outputs == expected


@both
def test_each_round_is_one_gaussian_step_that_takes_everybody(plan: EvaluationPlan | StatisticsPlan) -> None:
    assert plan.steps == (1.0, 1)
    assert plan.total_steps == plan.rounds


# --- what is refused ---


@both
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("study", "Blood Cells"),
        ("dataset", None),
        ("rounds", 0),
        ("rounds", MAX_ROUNDS + 1),
        ("rounds", 1.0),
        ("rounds", True),
        ("privacy", None),
        ("privacy", {}),
        ("privacy.noise_multiplier", 0),
        ("privacy.noise_multiplier", -1),
        ("privacy.noise_multiplier", 2e6),
        ("privacy.noise_multiplier", "20"),
        ("privacy.delta", 0),
        ("privacy.delta", 0.5),
        ("privacy.unit", "hospital"),
        ("run", None),
        ("run.device", "cuda"),
        ("run.physical_batch_size", 0),
        ("kind", "training"),
        ("kind", "count"),
        ("kind", ["evaluation"]),
        ("version", 2),
    ],
)
def test_a_value_out_of_range_is_refused(plan: EvaluationPlan | StatisticsPlan, path: str, value: Any) -> None:
    text = changed(plan, path, value)
    for read in (type(plan).from_json, parse):
        with pytest.raises(PlanError):
            read(text)


@pytest.mark.parametrize("bins", [1, -1, MAX_SCORE_BINS + 1, 10.0, True, None])
def test_score_bins_are_none_or_at_least_two(bins: Any) -> None:
    with pytest.raises(PlanError, match="score_bins"):
        parse(changed(EVALUATION, "score_bins", bins))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("image_shape", [28, 28]),
        ("image_shape", [28, 28, 5]),
        ("image_shape", [0, 28, 3]),
        ("image_shape", "28"),
        ("num_classes", 1),
        ("num_classes", 10_001),
        ("num_classes", 4.0),
    ],
)
def test_statistics_of_no_possible_dataset_are_refused(path: str, value: Any) -> None:
    with pytest.raises(PlanError):
        parse(changed(STATISTICS, path, value))


def test_an_evaluation_needs_a_model() -> None:
    models: tuple[object, ...] = (None, "small_cnn", {})
    for model in models:
        with pytest.raises(PlanError):
            parse(changed(EVALUATION, "model", model))
    with pytest.raises(PlanError, match="ModelSpec"):
        replace(EVALUATION, model="small_cnn")  # type: ignore[arg-type]


@both
def test_a_missing_field_is_refused_by_its_name(plan: EvaluationPlan | StatisticsPlan) -> None:
    needed = (f.name for f in fields(plan) if "added_later" not in f.metadata)
    for path in (*needed, "privacy.delta", "run.device"):
        with pytest.raises(PlanError, match=f"Missing field .*{path.split('.')[-1]}"):
            parse(changed(plan, path, ...))


@both
@pytest.mark.parametrize("path", ["sample_rate", "privacy.max_grad_norm", "privacy.seed", "run.seed"])
def test_an_unknown_field_is_refused_by_its_name(plan: EvaluationPlan | StatisticsPlan, path: str) -> None:
    with pytest.raises(PlanError, match=f"Unknown field .*{path.split('.')[-1]}"):
        parse(changed(plan, path, 1))


def test_one_kind_is_not_read_as_another() -> None:
    with pytest.raises(PlanError, match="kind statistics"):
        StatisticsPlan.from_json(EVALUATION.to_json())
    with pytest.raises(PlanError, match="kind evaluation"):
        EvaluationPlan.from_json(STATISTICS.to_json())


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(number: str) -> None:
    text = EVALUATION.to_json().replace('"noise_multiplier":20.0', f'"noise_multiplier":{number}')
    assert number in text
    with pytest.raises(PlanError):
        parse(text)


@pytest.mark.parametrize("text", ["", "{", "3", "[]", "null", '"plan"', "[" * 100_000])
def test_what_is_not_a_plan_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        parse(text)


# --- Gram matrices ---


GRAM = GramPlan("blood-cells", "smears", ModelSpec("scattering_linear", (28, 28, 3), 4), ReleaseSpec(2.0, 1e-5))


def test_a_gram_plan_reads_back_exactly_and_its_digest_is_of_all_of_it() -> None:
    assert parse(GRAM.to_json()) == GRAM == GramPlan.from_json(GRAM.to_json())
    assert GRAM.digest() == hashlib.sha256(GRAM.to_json().encode()).hexdigest()
    changes = [{"study": "other"}, {"privacy": ReleaseSpec(2.5, 1e-5)}, {"model": replace(GRAM.model, num_classes=5)}]
    assert len({GRAM.digest(), *(replace(GRAM, **change).digest() for change in changes)}) == 4


def test_a_gram_matrix_is_one_gaussian_step_of_one_unit_at_most() -> None:
    assert (GRAM.steps, GRAM.total_steps, GRAM.sensitivity) == ((1.0, 1), 1, 1.0)
    assert GRAM.inputs == 3 * 235 + 1
    assert GRAM.outputs == {"squares": (706,), "products": (706 * 705 // 2,)}
