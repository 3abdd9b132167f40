"""Kernels for a plan, compiled on made-up pictures by a process that has nothing else to do, and no picture."""

from __future__ import annotations

from dataclasses import replace

import torch

from datasites.training.dp_sgd.kernel_choice import GRADIENTS
from datasites.training.dp_sgd.private_step import find_shape
from datasites.training.dp_sgd.step_engine import StepEngine
from datasites.training.engines import ENGINES
from datasites.training.gpu.step import Recorder
from datasites.training.losses import loss_of
from datasites.training.models import build_undrawn
from datasites.training.process_group.process_group import SINGLE_PROCESS
from datasites.training.randomness.noise_kernel import noise_kernel
from policies.errors import PlanError
from policies.plans.training import TrainingPlan

_PICTURES = 8  # of a batch: kernels hang on layers, not on how many pictures there are
_MANY = 1 << 20  # a declared size, for full batches


class NoGpuSeen(RuntimeError):
    """A process that should have a GPU is shown none."""


def compile_kernels(plan: TrainingPlan) -> None:
    """Launches, on the process's first GPU, every kernel that the plan's private steps launch; Triton keeps them.

    It does what a run does before it is given pictures, in small batches: the self-tests, and the engine's look.

    Args:
        plan: With differential privacy.

    Raises:
        NoGpuSeen: There is none.
        RuntimeError: A kernel cannot be compiled or fails on it.
        WanwuError: As `prepare_training`, of the plan and of the device.
    """
    if plan.privacy is None:
        raise PlanError("Training without differential privacy has no kernels. Compile none.")
    if not torch.cuda.is_available():
        raise NoGpuSeen("The process that compiles sees no GPU.")
    device, recorder = torch.device("cuda", 0), Recorder()
    model = build_undrawn(plan.model).to(device).train()
    engine = ENGINES[plan.run.engine](model, plan.privacy.max_grad_norm, loss_of(plan.objective))
    few = replace(plan, run=replace(plan.run, physical_batch_size=_PICTURES))
    find_shape(
        few,
        model,
        StepEngine(engine, str(device), plan.run.precision),
        public_size=_MANY,
        process_group=SINGLE_PROCESS,
        recorder=recorder,
    )
    for why_not in (recorder.slower.get(GRADIENTS), noise_kernel(device).why_not):
        if why_not is not None:
            raise RuntimeError(why_not)
