"""Training of made-up hospitals in the process that calls it, one after the other, in one thread as workers do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from researcher.evaluation.evaluation import Evaluation, evaluate
from researcher.evaluation.shared_part import evaluate_round
from researcher.simulation.made_up import MadeUpHospital
from researcher.simulation.trainer import Trainer
from researcher.simulation.work import Work
from researcher.simulation.workers import Begun, Sent, Stepped, Trained
from researcher.strategies import Weights


class InThisProcess:
    """Trains without Ray; see `Workers`."""

    def __init__(self, work: Work, seed: int) -> None:
        """Sets nothing up yet; see `Trainer`."""
        self._work, self._trainer = work, Trainer(work.plan, work.pictures, seed)

    def train(
        self, sent: Sent, round_index: int, hospitals: Sequence[MadeUpHospital], begun: Begun, stepped: Stepped
    ) -> Iterator[Trained]:
        """As `Workers.train`."""
        for hospital in hospitals:
            begun(hospital)
            progress = partial(_told_of, stepped, hospital)
            threads = torch.get_num_threads()
            torch.set_num_threads(1)  # what a gradient is to the last bit may hang on it
            try:
                trained = self._trainer.train(hospital, round_index, sent.to(hospital), progress)
            finally:
                torch.set_num_threads(threads)
            yield trained

    def score_round(self, weights: Weights) -> Callable[[], Evaluation]:
        """As `Workers.score_round`."""
        scores = evaluate_round(self._work.plan, weights, self._work.hold_out)
        return lambda: scores

    def score_models(self, models: Sequence[Callable[[], Weights]]) -> Iterator[Evaluation]:
        """As `Workers.score_models`."""
        for model in models:
            yield evaluate(self._work.plan.model, model(), self._work.hold_out)


def _told_of(stepped: Stepped, hospital: MadeUpHospital, done: int, total: int) -> None:
    stepped(hospital, done)
