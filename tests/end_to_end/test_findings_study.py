"""A study of pictures with several findings: three hospitals, each patient protected, from schema to report."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasites.assets.drawn.findings import FINDINGS, SITES, write_example
from datasites.training.jobs import run_round
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from policies.budget.accountant import GaussianSteps, epsilon_spent
from policies.contracts.outputs import take_update
from policies.contracts.weights import canonical_bytes
from policies.plans.kinds import parse
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import TrainingPlan
from researcher.counts.noised_findings import findings_of
from researcher.counts.noised_metrics import auroc_of, summed_noise
from researcher.counts.noised_statistics import statistics_of
from researcher.evaluation.evaluation import evaluate, load_hold_out
from researcher.hospitals.hospital import DatasetInfo
from researcher.planning.planning import StudySettings, make_plan
from researcher.strategies import ClientUpdate
from researcher.studies.history import PHASES, History, PrivacySpent, RoundRecord
from researcher.studies.study import strategy_of

with warnings.catch_warnings():  # matplotlib 3.9 calls pyparsing by its old names
    warnings.simplefilter("ignore")
    from researcher.reports import StudyResult, write_report

pytestmark = pytest.mark.filterwarnings(r"ignore:'\w+' deprecated - use:DeprecationWarning")
EACH = 400  # patients of a hospital


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_example(tmp_path_factory.mktemp("findings"), each=EACH, hold_out=300)


@pytest.fixture(scope="module")
def private(example: tuple[Path, Path]) -> dict[str, LabelledPictures]:
    """Each hospital's pictures, as a run takes them."""
    with np.load(example[0]) as arrays:
        held = {name: arrays[name] for name in arrays.files}
    found = {}
    for site in SITES:
        rows = held["sites"] == site
        units = np.unique(held["groups"][rows], return_inverse=True)[1].astype(np.int64)
        found[site] = LabelledPictures(held["images"][rows], held["labels"][rows], units, EACH)
    return found


@pytest.fixture(scope="module")
def plan() -> TrainingPlan:
    """From what hospitals publish; it reads back from its text as hospitals get it."""
    offered = [
        DatasetInfo(site, "findings", FINDINGS, (16, 16, 1), "patient", EACH, {}, label_kind="multi") for site in SITES
    ]
    settings = StudySettings(
        study="findings",
        model="linear",
        num_rounds=4,
        local_epochs=5.0,
        sample_rate=0.2,
        noise_multiplier=2.5,
        max_grad_norm=1.0,
        learning_rate=0.5,
    )
    made = make_plan(settings, offered)
    assert (made.model.label_kind, made.privacy and made.privacy.unit) == ("multi", "patient")
    read = parse(made.to_json())
    assert isinstance(read, TrainingPlan) and read == made
    return read


@pytest.fixture(scope="module")
def study(
    plan: TrainingPlan, private: Mapping[str, LabelledPictures], example: tuple[Path, Path]
) -> tuple[dict[str, np.ndarray], StudyResult]:
    """The rounds, with each hospital's update checked as it leaves, and their result."""
    assert plan.privacy is not None
    hold_out, strategy, history = load_hold_out(example[1], class_names=FINDINGS), strategy_of(plan), History()
    start = initial_weights(plan.model, 0)
    shapes = {name: values.shape for name, values in start.items()}
    state = strategy.init(start)
    steps = GaussianSteps(plan.privacy.noise_multiplier, plan.sample_rate, plan.total_steps)
    spent = dict.fromkeys(private, epsilon_spent((steps,), plan.privacy.delta))
    for index in range(plan.rounds):

        def arriving(index: int = index, weights: Mapping[str, np.ndarray] = state.weights) -> Iterator[ClientUpdate]:
            for site, pictures in private.items():
                update = canonical_bytes(run_round(plan, index, weights, pictures))
                yield ClientUpdate(site, take_update(update, shapes, max_bytes=10**7), EACH)

        state = strategy.apply(state, arriving())
        scores = evaluate(plan.model, state.model, hold_out)
        history.append(
            RoundRecord(
                index + 1,
                tuple(private),
                scores.accuracy,
                scores.macro_f1,
                scores.confusion,
                dict.fromkeys(PHASES, 1.0),
                1,
                1,
                spent if index + 1 == plan.rounds else {},
                findings=scores.findings,
            )
        )
    result = StudyResult(
        plan=plan,
        class_names=hold_out.class_names,
        parameters=sum(values.size for values in start.values()),
        public_sizes=dict.fromkeys(private, EACH),
        privacy={site: PrivacySpent(epsilon, 1e-5, "patient") for site, epsilon in spent.items()},
        history=history,
    )
    return dict(state.model), result


def test_three_hospitals_learn_findings_within_the_budget_and_the_report_tells_each(
    study: tuple[dict[str, np.ndarray], StudyResult], tmp_path: Path
) -> None:
    _, result = study
    assert all(spent is not None and spent.epsilon <= 8.0 for spent in result.privacy.values())
    final = result.final
    assert final.macro_auroc is not None and final.macro_auroc > 0.85
    assert all(one.auroc is not None and one.auroc > 0.6 for one in final.findings)
    assert History.from_json(result.history.to_json()) == result.history
    write_report(tmp_path, result)
    values: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())
    assert list(values["findings"]) == list(FINDINGS) and len(values["macro_auroc"]) == result.plan.rounds
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (tmp_path / "report.html").read_text()))
    for name, one in zip(FINDINGS, final.findings, strict=True):
        assert f"{name} {one.known} {one.present} {one.auroc:.3f}" in text
    assert "one patient with all their pictures" in text


def test_the_hospitals_own_counts_under_noise_say_the_same_of_the_model(
    study: tuple[dict[str, np.ndarray], StudyResult], private: Mapping[str, LabelledPictures]
) -> None:
    weights, result = study
    counting = EvaluationPlan(
        "findings", "findings", result.plan.model, 1, ReleaseSpec(4.0, 1e-5, "patient"), score_bins=20
    )
    released = [run_round(counting, 0, weights, pictures) for pictures in private.values()]
    noise = summed_noise([4.0 * counting.sensitivity] * len(released))
    areas = auroc_of(np.sum([one["scores"] for one in released], axis=0), noise_std=noise)
    metrics = findings_of(np.sum([one["finding_counts"] for one in released], axis=0), noise_std=noise)
    assert areas.macro.low < 0.95 and areas.macro.high > 0.85
    shown = zip(areas.per_class, metrics.findings, result.final.findings, strict=True)
    for area, counted, public in shown:
        assert public.auroc is not None and area.low - 0.05 <= public.auroc <= area.high + 0.05
        assert counted.present.low <= EACH * 3 and counted.present.high > 0
    asked = StatisticsPlan(
        "findings", "findings", (16, 16, 1), 4, ReleaseSpec(2.0, 1e-5, "patient"), label_kind="multi"
    )
    told = statistics_of(run_round(asked, 0, {}, private["north"]), noise_std=2.0 * asked.sensitivity)
    assert asked.sensitivity == math.sqrt(6)
    for counts in told.finding_counts:
        whole = counts.absent.value + counts.present.value + counts.unknown.value
        assert abs(whole - EACH) < 6 * 2.0 * asked.sensitivity * math.sqrt(3)
        assert 0 < counts.unknown.value < counts.absent.value
