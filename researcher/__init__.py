"""The researcher's side: plans studies, averages client updates, reports; never sees a private row.

The names in `__all__` are the public API; docs/ref-python-api.md describes them. Each is imported at its first use,
so `import researcher` loads neither torch nor PySyft.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasites.training.models import initial_weights
    from policies.errors import WanwuError
    from policies.plans.releases import EvaluationPlan, GramPlan, ReleaseSpec, StatisticsPlan
    from policies.plans.tokeniser import text_form, tokens
    from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan
    from policies.plans.words.statement import Statement
    from researcher.captures.capture import CapturedModel, capture
    from researcher.captures.loss_capture import CapturedLoss, capture_loss
    from researcher.counts.releases import CountRequest, Released
    from researcher.evaluation.evaluation import Evaluation, evaluate
    from researcher.evaluation.hold_out import HoldOut, load_hold_out
    from researcher.hospitals.check import HospitalCheck
    from researcher.hospitals.comparison import Compared
    from researcher.hospitals.credentials import Credentials
    from researcher.hospitals.federation import check_all
    from researcher.hospitals.hospital import DatasetInfo, Hospital, Mock
    from researcher.judgement.bootstrap import Bootstrap
    from researcher.judgement.judge import judge
    from researcher.judgement.judgement import Judgement
    from researcher.judgement.test_data import About
    from researcher.notebook.datasets import Datasets
    from researcher.notebook.draft import Draft
    from researcher.notebook.federation import Federation, connect
    from researcher.notebook.interruption import StudyInterrupted
    from researcher.notebook.rehearsal import HomeRehearsal
    from researcher.notebook.repetition import Repetition
    from researcher.notebook.setup import Setup
    from researcher.notebook.status import HospitalStatus, StudyStatus
    from researcher.notebook.study import Finished, Study
    from researcher.planning.initial_weights import InitialWeights, load_initial_weights
    from researcher.planning.planning import StudySettings, make_plan, study_epsilon
    from researcher.reports import StudyResult, write_report
    from researcher.simulation.settings import SimulationSettings
    from researcher.simulation.simulate import simulate
    from researcher.strategies import ClientUpdate, FedAvg, ServerState, Strategy
    from researcher.studies.history import History, PrivacySpent, RoundRecord
    from researcher.studies.kept_plan import STUDY_FILE
    from researcher.studies.remote_round import RoundEvent
    from researcher.studies.retry_policy import RetryPolicy
    from researcher.studies.submission import Submission
    from researcher.terminal.training_session import result_of, write_all
    from researcher.tracking.mlflow import MLflow
    from researcher.tracking.tensorboard import TensorBoard
    from researcher.tracking.tracker import Tracker, replay

__all__ = [
    "STUDY_FILE",
    "About",
    "Bootstrap",
    "CapturedLoss",
    "CapturedModel",
    "ClientUpdate",
    "Compared",
    "CountRequest",
    "Credentials",
    "DatasetInfo",
    "Datasets",
    "Draft",
    "Evaluation",
    "EvaluationPlan",
    "FedAvg",
    "Federation",
    "Finished",
    "GramPlan",
    "History",
    "HoldOut",
    "HomeRehearsal",
    "Hospital",
    "HospitalCheck",
    "HospitalStatus",
    "InitialWeights",
    "Judgement",
    "MLflow",
    "Mock",
    "ModelSpec",
    "PrivacySpec",
    "PrivacySpent",
    "ReleaseSpec",
    "Released",
    "Repetition",
    "RetryPolicy",
    "RoundEvent",
    "RoundRecord",
    "RunSpec",
    "ServerState",
    "Setup",
    "SimulationSettings",
    "Statement",
    "StatisticsPlan",
    "Strategy",
    "Study",
    "StudyInterrupted",
    "StudyResult",
    "StudySettings",
    "StudyStatus",
    "Submission",
    "TensorBoard",
    "Tracker",
    "TrainingPlan",
    "WanwuError",
    "capture",
    "capture_loss",
    "check_all",
    "connect",
    "evaluate",
    "initial_weights",
    "judge",
    "load_hold_out",
    "load_initial_weights",
    "make_plan",
    "replay",
    "result_of",
    "simulate",
    "study_epsilon",
    "text_form",
    "tokens",
    "write_all",
    "write_report",
]
# Where each exported name is defined.
_HOMES = {
    "About": "researcher.judgement.test_data",
    "Bootstrap": "researcher.judgement.bootstrap",
    "Judgement": "researcher.judgement.judgement",
    "CapturedLoss": "researcher.captures.loss_capture",
    "CapturedModel": "researcher.captures.capture",
    "capture": "researcher.captures.capture",
    "capture_loss": "researcher.captures.loss_capture",
    "judge": "researcher.judgement.judge",
    "Compared": "researcher.hospitals.comparison",
    "Datasets": "researcher.notebook.datasets",
    "Draft": "researcher.notebook.draft",
    "connect": "researcher.notebook.federation",
    "StudyInterrupted": "researcher.notebook.interruption",
    "HomeRehearsal": "researcher.notebook.rehearsal",
    "Repetition": "researcher.notebook.repetition",
    "Setup": "researcher.notebook.setup",
    "HospitalStatus": "researcher.notebook.status",
    "StudyStatus": "researcher.notebook.status",
    "Finished": "researcher.notebook.study",
    "MLflow": "researcher.tracking.mlflow",
    "TensorBoard": "researcher.tracking.tensorboard",
    "Tracker": "researcher.tracking.tracker",
    "replay": "researcher.tracking.tracker",
    "STUDY_FILE": "researcher.studies.kept_plan",
    "ClientUpdate": "researcher.strategies",
    "CountRequest": "researcher.counts.releases",
    "Credentials": "researcher.hospitals.credentials",
    "DatasetInfo": "researcher.hospitals.hospital",
    "Evaluation": "researcher.evaluation.evaluation",
    "EvaluationPlan": "policies.plans.releases",
    "FedAvg": "researcher.strategies",
    "Federation": "researcher.notebook.federation",
    "History": "researcher.studies.history",
    "HoldOut": "researcher.evaluation.hold_out",
    "Hospital": "researcher.hospitals.hospital",
    "HospitalCheck": "researcher.hospitals.check",
    "InitialWeights": "researcher.planning.initial_weights",
    "Mock": "researcher.hospitals.hospital",
    "ModelSpec": "policies.plans.training",
    "RetryPolicy": "researcher.studies.retry_policy",
    "PrivacySpec": "policies.plans.training",
    "PrivacySpent": "researcher.studies.history",
    "ReleaseSpec": "policies.plans.releases",
    "Released": "researcher.counts.releases",
    "RoundEvent": "researcher.studies.remote_round",
    "RoundRecord": "researcher.studies.history",
    "RunSpec": "policies.plans.training",
    "ServerState": "researcher.strategies",
    "SimulationSettings": "researcher.simulation.settings",
    "Statement": "policies.plans.words.statement",
    "StatisticsPlan": "policies.plans.releases",
    "GramPlan": "policies.plans.releases",
    "Strategy": "researcher.strategies",
    "Study": "researcher.notebook.study",
    "StudyResult": "researcher.reports",
    "Submission": "researcher.studies.submission",
    "TrainingPlan": "policies.plans.training",
    "WanwuError": "policies.errors",
    "StudySettings": "researcher.planning.planning",
    "check_all": "researcher.hospitals.federation",
    "evaluate": "researcher.evaluation.evaluation",
    "initial_weights": "datasites.training.models",
    "load_hold_out": "researcher.evaluation.hold_out",
    "load_initial_weights": "researcher.planning.initial_weights",
    "make_plan": "researcher.planning.planning",
    "result_of": "researcher.terminal.training_session",
    "study_epsilon": "researcher.planning.planning",
    "simulate": "researcher.simulation.simulate",
    "text_form": "policies.plans.tokeniser",
    "tokens": "policies.plans.tokeniser",
    "write_all": "researcher.terminal.training_session",
    "write_report": "researcher.reports",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # a type checker reads the imports above

    def __getattr__(name: str) -> object:
        """Imports an exported name when it is first used (PEP 562)."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)
