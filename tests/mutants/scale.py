"""Faults of what steps are scaled by, how many there are, and what is left over from one to the next."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from datasites.training.dp_sgd.noise import NoisyOptimizer
from datasites.training.local_round import PreparedTraining
from datasites.training.pictures.sampler import poisson_steps
from datasites.training.randomness.gaussian import noised
from mutants.mutant import Mutant, Patch, everywhere
from mutants.noise import made_by


def by_the_true_batch(patch: Patch) -> None:
    size = [0]

    def drawn(units, **settings):
        for chosen in poisson_steps(units, **settings):
            size[0] = len(chosen)
            yield chosen

    step_with = NoisyOptimizer.step_with

    def step(self, sums):
        self.expected_batch_size = max(1, size[0])
        step_with(self, sums)

    everywhere(patch, poisson_steps, drawn)
    patch.setattr(NoisyOptimizer, "step_with", step)


def by_the_true_number(patch: Patch) -> None:
    train = PreparedTraining.train

    def wrong(self, pictures, **settings):
        return train(self, dataclasses.replace(pictures, public_size=pictures.num_units), **settings)

    patch.setattr(PreparedTraining, "train", wrong)


def more_steps(extra: int) -> Callable[[Patch], None]:
    def build_in(patch: Patch) -> None:
        def drawn(units, *, steps, **settings):
            return poisson_steps(units, steps=steps + extra, **settings)

        everywhere(patch, poisson_steps, drawn)

    return build_in


def on_sums(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Patch], None]:
    return made_by(lambda sums, *settings: noised(change(sums), *settings))


def the_last_steps_sum_again(patch: Patch) -> None:
    last: dict = {}

    def noise(sums, *settings):
        before, last[sums.numel()] = last.get(sums.numel()), sums.clone()
        return noised(sums if before is None else sums + before, *settings)

    made_by(noise)(patch)


def sum_beside_the_noised_one(sums, *settings):
    return noised(sums, *settings) + sums.to(torch.float32)


MUTANTS = [
    Mutant(name, "draws", build_in)
    for name, build_in in {
        "scaled by the true batch": by_the_true_batch,
        "scaled by the true number of units": by_the_true_number,
        "one step more than charged": more_steps(1),
        "one step fewer than charged": more_steps(-1),
        "sum doubled before the noise": on_sums(lambda sums: 2 * sums),
        "sum added once more after the noise": made_by(sum_beside_the_noised_one),
        "the last step's sum added again": the_last_steps_sum_again,
    }.items()
]
