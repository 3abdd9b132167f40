"""Rounds told to other programs: the numbers of the history under stable names, and nothing else."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.notebooks import faults, words
from support.waiting import CEILING_SECONDS

from datasites.training.finding_metrics import FindingScores
from policies.errors import ConfigError
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from policies.plans.words.statement import Statement
from researcher.strategies import ServerState
from researcher.studies.checkpoints import save_state
from researcher.studies.history import PHASES, History, RoundRecord
from researcher.studies.kept_plan import STUDY_FILE
from researcher.tracking.mlflow import MLflow
from researcher.tracking.tensorboard import TensorBoard
from researcher.tracking.tracker import numbers_of, settings_of

PROJECT = Path(__file__).resolve().parents[3]
SECONDS = {"queue": 0.0, "transfer": 1.0, "train": 2.0, "aggregate": 0.5, "total": 4.0}
PLAN = TrainingPlan(
    "study",
    "pictures",
    ModelSpec("linear", (16, 16, 1), 2),
    3,
    2,
    0.2,
    0.1,
    privacy=PrivacySpec(2.0, 1.0, 1e-5),
    statement=Statement(name="Somebody", contact="somebody@university.org"),
)
HISTORY = History(
    [
        RoundRecord(1, ("a", "b"), 0.5, 0.25, ((1, 1), (1, 1)), SECONDS, 10, 20, {"a": 0.5, "b": 0.75}),
        RoundRecord(2, ("a",), 0.75, 0.5, ((2, 0), (1, 1)), SECONDS, 11, 21, {"a": 1.0}, {"b": "WW705: away"}),
    ]
)


# --- pandas ----------------------------------------------------------------------------------------------------------


def test_a_history_is_a_frame_with_a_unit_for_each_column() -> None:
    frame = HISTORY.to_frame()
    assert list(frame.index) == [1, 2] and frame.index.name == "round"
    assert list(frame["test_accuracy"]) == [0.5, 0.75] and list(frame["bytes_down"]) == [20, 21]
    assert list(frame["datasites"]) == [2, 1] and list(frame["skipped"]) == [0, 1]
    assert frame["epsilon_b"][1] == 0.75 and math.isnan(frame["epsilon_b"][2])
    assert {f"seconds_{phase}" for phase in PHASES} <= set(frame.columns)
    assert set(frame.attrs["units"]) == {"round", *frame.columns}
    documented = (History.to_frame.__doc__ or "").replace("`seconds_`", "seconds_").replace("`epsilon_`", "epsilon_")
    assert all(name in documented for name in ("datasites", "macro_auroc", "seconds_", "bytes_up", "epsilon_"))


def test_a_history_without_rounds_is_an_empty_frame_with_the_same_columns() -> None:
    frame = History().to_frame()
    assert len(frame) == 0 and {"test_accuracy", "seconds_total"} <= set(frame.columns)
    assert History()._repr_html_() == ""


def test_a_history_of_findings_shows_their_score() -> None:
    scores = FindingScores(8, 3, 0.75, 0.5, 0.5, 0.5, 0.5)
    record = RoundRecord(1, ("a",), 0.5, 0.5, (), SECONDS, 1, 1, findings=(scores, scores))
    assert History([record]).to_frame()["macro_auroc"][1] == 0.75
    assert "macro AUROC" in words(History([record])._repr_html_())
    assert numbers_of(record)["score/macro_auroc"] == 0.75


def test_a_history_draws_its_curves_and_tells_the_same_numbers_in_a_table() -> None:
    shown = HISTORY._repr_html_()
    assert list(faults(shown)) == [] and shown.count("<svg") == 2
    told = words(shown)
    assert "Global model on the public hold-out, after round 2: accuracy: 0.75; macro F1: 0.5" in told
    assert "epsilon at b" in told and "0.750" in told
    assert "#000" not in shown and "#fff" not in shown, "words take the colour of the page, light or dark"


# --- trackers --------------------------------------------------------------------------------------------------------


def test_a_round_is_told_by_the_numbers_of_its_record_alone() -> None:
    numbers = numbers_of(HISTORY.records[1])
    assert numbers["score/accuracy"] == 0.75 and numbers["epsilon/a"] == 1.0 and numbers["hospitals/without"] == 1
    held = HISTORY.records[1].to_dict()
    values = [held[name] for name in ("test_accuracy", "macro_f1", "bytes_up", "bytes_down")]
    assert sorted(numbers.values()) == sorted(map(float, map(str, [*values, 1, 1, *SECONDS.values(), 1.0])))


def test_the_settings_that_are_told_leave_out_what_the_researcher_said_of_people() -> None:
    told = settings_of(PLAN)
    assert told["privacy.noise_multiplier"] == "2.0" and told["model.name"] == "linear"
    assert "Somebody" not in str(told) and "university.org" not in str(told)


@pytest.mark.parametrize(("tracker", "module"), [(TensorBoard, "tensorboard"), (MLflow, "mlflow")])
def test_a_tracker_whose_package_is_missing_says_what_to_install(
    tracker: type, module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=f"The package {module} is not installed. Install"):
        tracker(str(tmp_path))


_TO_TENSORBOARD = """
import json, sys
from researcher.tracking.tensorboard import TensorBoard
from researcher.tracking.tracker import replay
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray
folder, place = sys.argv[1:]
replay(folder, TensorBoard(place))
events = EventAccumulator(place)
events.Reload()
def values(tag):
    return [[one.step, float(make_ndarray(one.tensor_proto))] for one in events.Tensors(tag)]
print(json.dumps({tag: values(tag) for tag in events.Tags()["tensors"]}))
"""
_TO_MLFLOW = """
import json, sys
from policies.errors import ConfigError
from researcher.studies.checkpoints import load_state
from researcher.studies.kept_plan import read_plan
from researcher.tracking.mlflow import MLflow
from researcher.tracking.tracker import replay
from mlflow.tracking import MlflowClient
folder, place = sys.argv[1:]
plan, _ = read_plan(folder)
tracker = MLflow(place)
tracker.begin(plan)
tracker.round(load_state(folder, plan_digest=plan.digest())[1].records[0])
tracker.end()
replay(folder, MLflow(place))
try:
    MLflow("http://127.0.0.1:9").begin(plan)
except ConfigError as error:
    assert "did not take it" in error.public and "replay" in error.public
client = MlflowClient(tracking_uri=place)
(run,) = client.search_runs([client.get_experiment_by_name("study").experiment_id])
def values(name):
    return [[one.step, one.value] for one in client.get_metric_history(run.info.run_id, name)]
told = {name: values(name) for name in run.data.metrics}
told["parameters"] = run.data.params
print(json.dumps(told))
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The folder of a study after two rounds."""
    folder = tmp_path / "study"
    save_state(folder, ServerState({"w": np.zeros(2, np.float32)}, 2, {}), HISTORY, plan_digest=PLAN.digest())
    (folder / STUDY_FILE).write_text(json.dumps({"plan": PLAN.to_json(), "requests": {"a": {}, "b": {}}}))
    return folder


def _told(python: str | Path, program: str, study: Path, place: str, *more: Path) -> Any:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, *more))),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    words = [str(python), "-c", program, str(study), place]
    ran = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=CEILING_SECONDS)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


_WITH_A_FEW_PACKAGES = """
import json, sys
from types import SimpleNamespace
from researcher import MLflow, replay
seen = []
replay(sys.argv[1], SimpleNamespace(begin=print, round=seen.append, end=print))
files = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
packages = {file.split("/site-packages/")[1].partition("/")[0] for file in files if "/site-packages/" in file}
print(json.dumps([len(seen), sorted(packages - {"_distutils_hack"})]))
"""


def test_a_study_is_told_again_with_numpy_and_safetensors_alone(study: Path) -> None:
    """What is said to go into MLflow's own environment, in which PySyft's closure has no place."""
    assert _told(sys.executable, _WITH_A_FEW_PACKAGES, study, "") == [2, ["numpy", "safetensors"]]


def _install(*words: str | Path) -> None:
    """Runs uv, the installer of this project; where packages cannot be had the test is skipped with what it said."""
    ran = subprocess.run([Path(sys.executable).parent / "uv", *words], capture_output=True, text=True)
    if ran.returncode:
        pytest.skip(f"the package cannot be installed here: {ran.stderr[-300:]}")


def _check(told: dict[str, list[list[float]]]) -> None:
    for record in HISTORY.records:
        for name, value in numbers_of(record).items():
            assert [record.round, pytest.approx(value)] in told[name], name


@pytest.mark.slow
def test_tensorboard_reads_what_its_tracker_wrote(study: Path, tmp_path: Path) -> None:
    pins = Path(__file__).with_name("tensorboard.txt")
    _install("pip", "install", "--python", sys.executable, "--target", tmp_path / "more", "--no-deps", "-r", pins)
    _check(_told(sys.executable, _TO_TENSORBOARD, study, str(tmp_path / "runs"), tmp_path / "more"))
    assert json.loads((tmp_path / "runs" / "plan.json").read_text())["privacy.noise_multiplier"] == "2.0"


@pytest.mark.slow
def test_mlflow_holds_one_run_of_a_study_that_was_told_in_two_parts(study: Path, tmp_path: Path) -> None:
    # Its pins and PySyft's exclude each other, so it has an environment of its own, which reads a study's history.
    python = tmp_path / "env" / "bin" / "python"
    _install("venv", "--python", sys.executable, tmp_path / "env")
    _install("pip", "install", "--python", python, "-r", Path(__file__).with_name("mlflow.txt"))
    told = _told(python, _TO_MLFLOW, study, f"sqlite:///{tmp_path / 'mlflow.db'}")
    parameters = told.pop("parameters")
    assert isinstance(parameters, dict) and parameters["privacy.noise_multiplier"] == "2.0"
    _check(told)
