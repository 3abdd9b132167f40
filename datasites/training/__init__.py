"""Training and its proof, free of PySyft; of what it reads, only noised updates may leave.

The names in `__all__` are the public API; docs/ref-python-api.md describes them. Each is imported at its first use:
torch takes seconds to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasites.training.book_keeping import BookKeeping
    from datasites.training.dp_sgd.engine_contract import ClippedGradients, EngineFactory
    from datasites.training.dp_sgd.opacus_hooks import OpacusHooks
    from datasites.training.engines import ENGINES, check_trainable
    from datasites.training.evaluation import fixed_features, predict
    from datasites.training.jobs import prepare_round, run_round
    from datasites.training.local_round import PreparedTraining, prepare_training, train_round
    from datasites.training.metrics import accuracy, confusion_matrix, f1_per_class, macro_f1, recall_per_class
    from datasites.training.models import (
        MODELS,
        build_model,
        initial_weights,
        load_weights,
        read_weights,
        trainable_shapes,
    )
    from datasites.training.pictures.data import LabelledPictures, to_tensor
    from datasites.training.privacy_audit import AuditResult, run_audit
    from datasites.training.process_group.process_group import SINGLE_PROCESS, ProcessGroup
    from datasites.training.process_group.torchrun_group import TorchrunGroup
    from datasites.training.randomness.randomness import SecureRandom
    from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

__all__ = [
    "ENGINES",
    "MODELS",
    "SINGLE_PROCESS",
    "AuditResult",
    "BookKeeping",
    "ClippedGradients",
    "EngineFactory",
    "LabelledPictures",
    "ModelSpec",
    "OpacusHooks",
    "PreparedTraining",
    "PrivacySpec",
    "ProcessGroup",
    "RunSpec",
    "SecureRandom",
    "TorchrunGroup",
    "TrainingPlan",
    "accuracy",
    "build_model",
    "check_trainable",
    "confusion_matrix",
    "f1_per_class",
    "fixed_features",
    "initial_weights",
    "load_weights",
    "macro_f1",
    "predict",
    "prepare_round",
    "prepare_training",
    "read_weights",
    "recall_per_class",
    "run_audit",
    "run_round",
    "to_tensor",
    "train_round",
    "trainable_shapes",
]
# Where each exported name is defined.
_HOMES = {
    "SINGLE_PROCESS": "datasites.training.process_group.process_group",
    "ENGINES": "datasites.training.engines",
    "MODELS": "datasites.training.models",
    "AuditResult": "datasites.training.privacy_audit",
    "BookKeeping": "datasites.training.book_keeping",
    "ClippedGradients": "datasites.training.dp_sgd.engine_contract",
    "EngineFactory": "datasites.training.dp_sgd.engine_contract",
    "LabelledPictures": "datasites.training.pictures.data",
    "ModelSpec": "policies.plans.training",
    "OpacusHooks": "datasites.training.dp_sgd.opacus_hooks",
    "PreparedTraining": "datasites.training.local_round",
    "PrivacySpec": "policies.plans.training",
    "RunSpec": "policies.plans.training",
    "SecureRandom": "datasites.training.randomness.randomness",
    "ProcessGroup": "datasites.training.process_group.process_group",
    "TorchrunGroup": "datasites.training.process_group.torchrun_group",
    "TrainingPlan": "policies.plans.training",
    "accuracy": "datasites.training.metrics",
    "build_model": "datasites.training.models",
    "check_trainable": "datasites.training.engines",
    "confusion_matrix": "datasites.training.metrics",
    "f1_per_class": "datasites.training.metrics",
    "fixed_features": "datasites.training.evaluation",
    "initial_weights": "datasites.training.models",
    "load_weights": "datasites.training.models",
    "macro_f1": "datasites.training.metrics",
    "predict": "datasites.training.evaluation",
    "prepare_round": "datasites.training.jobs",
    "prepare_training": "datasites.training.local_round",
    "read_weights": "datasites.training.models",
    "recall_per_class": "datasites.training.metrics",
    "run_audit": "datasites.training.privacy_audit",
    "run_round": "datasites.training.jobs",
    "to_tensor": "datasites.training.pictures.data",
    "train_round": "datasites.training.local_round",
    "trainable_shapes": "datasites.training.models",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # a type checker reads the imports above

    def __getattr__(name: str) -> object:
        """Imports an exported name when it is first used (PEP 562)."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)
