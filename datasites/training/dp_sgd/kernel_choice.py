"""The choice of kernels for a whole run, by all of its processes together, before any of them reads a picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from datasites.training.gpu import readiness
from datasites.training.gpu.step import Recorder
from datasites.training.process_group.process_group import ProcessGroup
from datasites.training.randomness.noise_kernel import noise_kernel

GRADIENTS = "the gradients"


@dataclass
class KernelChoice:
    """Whether a run's gradients are made by kernels or by torch's operations; never by one here and the other there.

    Attributes:
        process_group: All decide alike.
        device: Of this process.
        recorder: Tells of torch's operations; None where there is no GPU, and so no choice.
    """

    process_group: ProcessGroup
    device: torch.device
    recorder: Recorder | None

    def __post_init__(self) -> None:
        self.with_kernels = self.recorder is not None
        if self.with_kernels:
            noise_kernel(self.device)
            self.go_on(readiness.why_not(self.device.index or 0))

    def go_on(self, why_not: str | None) -> None:
        """Goes on with kernels where every process can, or else without in all of them, for as long as they live.

        Args:
            why_not: What keeps this process from it; None where nothing does.
        """
        if self.recorder is None or not self.with_kernels:
            return
        self.with_kernels = bool(self.process_group.all_reduce_min(why_not is None))
        if not self.with_kernels:
            told = why_not or "Another of the run's GPUs does not compute with the kernels."
            readiness.do_without(self.device, told)
            self.recorder.is_slower(GRADIENTS, told)
