"""What a study of findings writes: AUROC for each, and dashes where nothing can be said; no number of another kind."""

from __future__ import annotations

import dataclasses
import json
import re
import warnings

import pytest

from datasites.training.finding_metrics import FindingScores
from policies.errors import FederationError
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.evaluation.evaluation import Evaluation
from researcher.studies.history import History, PrivacySpent, RoundRecord

PYPARSING = r"'\w+' deprecated - use"  # matplotlib 3.9 calls pyparsing by its old names
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", PYPARSING, DeprecationWarning)
    from researcher.reports import StudyResult, plots, wording, write_report

pytestmark = pytest.mark.filterwarnings(f"ignore:{PYPARSING}:DeprecationWarning")

SECONDS = {"queue": 1.0, "transfer": 2.0, "train": 5.0, "aggregate": 0.5, "total": 10.0}
DISC = FindingScores(200, 80, 0.875, 0.8, 0.75, 0.9, 0.78)
NEVER = FindingScores(150, 0, None, None, None, 0.95, None)
WORSE = dataclasses.replace(DISC, auroc=0.75)


def record(number: int, *findings: FindingScores) -> RoundRecord:
    return RoundRecord(
        number, ("north",), 0.8, 0.7, (), SECONDS, 10, 10, {"north": 0.5 * number}, findings=findings or (DISC, NEVER)
    )


def study(**changes) -> StudyResult:
    values = {
        "plan": TrainingPlan(
            study="chest",
            dataset="xray",
            model=ModelSpec("small_cnn", (16, 16, 1), 2, {}, "multi"),
            rounds=2,
            steps_per_round=4,
            sample_rate=0.125,
            learning_rate=0.5,
            privacy=PrivacySpec(1.5, 1.0, 1e-5),
        ),
        "class_names": ("disc", "never seen"),
        "parameters": 12345,
        "public_sizes": {"north": 100},
        "privacy": {"north": PrivacySpent(1.0, 1e-5, "picture")},
        "history": History([record(1, WORSE, NEVER), record(2)]),
        "local_only": {"north": Evaluation(0.7, 0.6, (), (), (WORSE, NEVER))},
    }
    return StudyResult(**(values | changes))


def test_result_json_says_what_each_finding_scores_and_null_where_nothing_can_be_said(tmp_path):
    write_report(tmp_path, study())
    values = json.loads((tmp_path / "result.json").read_text())
    assert values["label_kind"] == "multi"
    assert values["macro_auroc"] == [0.75, 0.875]
    assert values["findings"] == {"disc": vars(DISC), "never seen": vars(NEVER)}
    assert values["findings"]["never seen"]["auroc"] is None
    assert values["local_only_macro_auroc"] == {"north": 0.75}
    assert values["confusion"] == []


def test_the_report_leads_with_macro_auroc_and_has_a_row_for_each_finding(tmp_path):
    written = {path.name for path in write_report(tmp_path, study())}
    assert written == {"result.json", "macro_auroc.png", "macro_f1.png", "findings.png", "privacy.png", "report.html"}
    page = (tmp_path / "report.html").read_text()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    for told in (
        "tells 2 findings (disc, never seen) of 16 × 16 grey pictures",
        "Macro AUROC 0.875 best hospital alone: 0.750 (north); mean of 1 of 2 findings; guessing: 0.500",
        "rare findings count as much as common ones",
        "disc 200 80 0.875 0.800 0.780 0.750 0.900",
        "never seen 150 0 – – – – 0.950",
        "Alone: macro AUROC",
        "Round Macro AUROC Macro F1",
        "model label kind multi",
    ):
        assert told in text, told
    assert "Test accuracy" not in text and "onfusion" not in text


def test_a_hold_out_without_any_auroc_has_a_dash_and_no_curve(tmp_path):
    bare = study(
        history=History([record(1, NEVER, NEVER)]), local_only={"north": Evaluation(0.7, 0, (), (), (NEVER,) * 2)}
    )
    assert "macro_auroc.png" not in {path.name for path in write_report(tmp_path, bare)}
    assert wording.headline(bare.final) == ("macro AUROC", "–")
    assert wording.against(bare, "macro_auroc") == "mean of 0 of 2 findings; guessing: 0.500"


@pytest.mark.parametrize("count", [2, 12, 60])
def test_each_finding_has_a_bar_from_guessing_to_its_auroc(count):
    aurocs = {f"finding {k}": None if k == 1 else 0.4 + 0.6 * k / count for k in range(count)}
    (axes,) = plots.findings(aurocs).axes
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert ends == pytest.approx([0.5 if value is None else value for value in aurocs.values()])
    assert [text.get_text() for text in axes.texts] == [wording.score(value) for value in aurocs.values()]


def test_names_must_be_as_many_as_findings():
    with pytest.raises(FederationError, match="Expected 2 class names, one for each finding"):
        study(class_names=("disc",))


def test_a_history_of_findings_reads_back_equal_and_one_of_classes_has_no_field_for_them():
    history = History([record(1), record(2)])
    assert History.from_json(history.to_json()) == history
    classes = History([dataclasses.replace(record(1), findings=(), confusion=((1, 0), (0, 1)))])
    assert "findings" not in json.loads(classes.to_json())["rounds"][0]
    assert History.from_json(classes.to_json()) == classes


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_refused_rather_than_kept(value):
    with pytest.raises(FederationError, match="not finite"):
        record(1, dataclasses.replace(DISC, auroc=value))
