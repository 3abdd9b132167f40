"""Faults of the noise, at the function by which it reaches sums on every device."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from datasites.training.dp_sgd.noise import NoisyOptimizer
from datasites.training.randomness import gaussian
from datasites.training.randomness.gaussian import noised, noised_together
from datasites.training.randomness.keyed_noise import _Maker
from datasites.training.randomness.randomness import SecureRandom
from mutants.mutant import Mutant, Patch, everywhere

Noise = Callable[[torch.Tensor, float, SecureRandom], torch.Tensor]


def made_by(noise: Noise) -> Callable[[Patch], None]:
    """Replaces what adds noise: (sums, spread, random) → noised."""

    def build_in(patch: Patch) -> None:
        def together(sums, *settings):
            found = noise(torch.cat([one.detach().reshape(-1) for one in sums]), *settings)
            parts = found.split([one.numel() for one in sums])
            return [part.view(one.shape) for part, one in zip(parts, sums, strict=True)]

        everywhere(patch, noised_together, together)
        everywhere(patch, noised, lambda sums, *settings: noise(sums.detach(), *settings))

    return build_in


def only(values: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Patch], None]:
    """Replaces sound noise, (n,), by what is made of it."""

    def noise(sums, spread, random):
        flat = sums.detach().reshape(-1)
        sound = noised(torch.zeros_like(flat), spread, random)
        return (flat.to(torch.float64) + values(sound)).to(torch.float32).view(sums.shape)

    return made_by(noise)


def drawn(values: Callable[[int, float], torch.Tensor]) -> Callable[[Patch], None]:
    """Replaces noise by other values: (how many, spread) → (n,)."""

    def noise(sums, spread, random):
        other = values(sums.numel(), spread).to(sums.device, torch.float64)
        return (sums.detach().to(torch.float64) + other.view(sums.shape)).to(torch.float32)

    return made_by(noise)


def spread_by(factor: float) -> Callable[[Patch], None]:
    return only(lambda sound: sound * factor)


def half_from(of: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Patch], None]:
    """The second half of noise made of the first."""

    def values(sound):
        half = len(sound) // 2
        return torch.cat([sound[: len(sound) - half], of(sound[:half])])

    return only(values)


def truncated(sound):
    spread = sound.std() if len(sound) > 1 else sound.abs().max()
    return sound.clamp(-2.5 * spread, 2.5 * spread)


def per_parameter(change: Callable[[list[torch.Tensor]], list[torch.Tensor]]) -> Callable[[Patch], None]:
    """Changes the parameters' noises, in their order, before they are added."""

    def build_in(patch: Patch) -> None:
        sound = NoisyOptimizer.add_noise

        def add_noise(self):
            sums = [p.__dict__["summed_grad"].clone() for p in self.params]
            sound(self)
            noises = [p.grad - s.to(p.grad.dtype) for p, s in zip(self.params, sums, strict=True)]
            for p, s, noise in zip(self.params, sums, change(noises), strict=True):
                p.grad = (s + noise.view(p.shape)).to(p.dtype)

        patch.setattr(NoisyOptimizer, "add_noise", add_noise)

    return build_in


def shared_by_size(noises, sign=1.0):
    first: dict = {}
    return [sign * first[n.numel()] if n.numel() in first else first.setdefault(n.numel(), n) for n in noises]


def without(which):
    return per_parameter(lambda noises: [n * (0.0 if which(i, n, len(noises)) else 1.0) for i, n in enumerate(noises)])


def constant_key(patch: Patch) -> None:
    start = SecureRandom._start
    patch.setattr(SecureRandom, "__init__", lambda self: start(self, bytes(32)))


def one_key_on_the_device(patch: Patch) -> None:
    patch.setattr(gaussian, "_add", gaussian._add_on_device)
    patch.setattr(SecureRandom, "fresh_key", lambda self: bytes([1] * 32))


def sines_are_cosines(patch: Patch) -> None:
    values = _Maker.values

    def wrong(self, first, end):
        found, memory = values(self, first, end)
        found[:, :, 1] = found[:, :, 0]
        return found, memory

    def by_the_processor(sums, out, noise, step):
        found = torch.empty(out.shape)
        gaussian._add([one.cpu() for one in sums], found, noise, step)
        out.copy_(found)

    patch.setattr(_Maker, "values", wrong)
    patch.setattr(gaussian, "_add_on_device", by_the_processor)


def every_second_step(patch: Patch) -> None:
    calls = []

    def noise(sums, spread, random):
        calls.append(0)
        return noised(sums, spread * (1.0 if len(calls) % 2 else 1e-6), random)

    made_by(noise)(patch)


def taken_back_in_the_next_step(patch: Patch) -> None:
    last: dict = {}

    def noise(sums, spread, random):
        back = last.pop(sums.numel(), None)
        if back is None:
            back = noised(torch.zeros_like(sums), spread, random)
            last[sums.numel()] = -back
        return sums.to(torch.float32) + back

    made_by(noise)(patch)


def where_there_is_a_sum(sums, spread, random):
    return torch.where(sums != 0, noised(sums, spread, random), sums.to(torch.float32))


def not_on_empty_batches(sums, spread, random):
    return noised(sums, spread, random) if bool((sums != 0).any()) else sums.to(torch.float32)


def clipped_with_it(sums, spread, random):
    found = noised(sums, spread, random)
    return found * min(1.0, spread / float(found.norm()))


MUTANTS = [
    Mutant(name, "noise", build_in)
    for name, build_in in {
        "noise off": spread_by(0.0),
        "half the noise": spread_by(0.5),
        "noise 10 % short": spread_by(0.9),
        "noise 5 % short": spread_by(0.95),
        "noise 5 % too large": spread_by(1.05),
        "variance in place of the deviation": made_by(lambda s, spread, r: noised(s, spread**2, r)),
        "root of the deviation": made_by(lambda s, spread, r: noised(s, math.sqrt(spread), r)),
        "two noises of half the size": made_by(lambda s, spread, r: noised(noised(s, spread / 2, r), spread / 2, r)),
        "the same noise in each step": made_by(lambda s, spread, r: noised(s, spread, SecureRandom.for_tests(0))),
        "each round with the same generator state": constant_key,
        "one key for all noise on a device": one_key_on_the_device,
        "noise from torch's generator": drawn(lambda n, spread: spread * torch.randn(n, dtype=torch.float64)),
        "noise from numpy's generator": drawn(lambda n, spread: torch.from_numpy(np.random.normal(0, spread, n))),
        "equal-sized parameters share noise": per_parameter(shared_by_size),
        "equal-sized parameters share noise, negated": per_parameter(lambda n: shared_by_size(n, -1.0)),
        "second half of the noise copies the first": half_from(lambda half: half),
        "second half of the noise mirrors the first": half_from(lambda half: half.flip(0)),
        "second half of the noise negates the first": half_from(lambda half: -half),
        "second half mirrors and negates the first": half_from(lambda half: -half.flip(0)),
        "second half copies the first up to signs": half_from(
            lambda half: half * (2 * torch.bernoulli(torch.full_like(half, 0.5)) - 1)
        ),
        "sines taken for cosines": sines_are_cosines,
        "no noise on biases and norms": without(lambda i, noise, count: noise.dim() == 1),
        "no noise on the last parameter": without(lambda i, noise, count: count > 1 and i == count - 1),
        "noise on the first parameter alone": without(lambda i, noise, count: i > 0),
        "no noise on the embedding": without(lambda i, noise, count: tuple(noise.shape) == (512, 32)),
        "uniform noise": drawn(lambda n, spread: spread * math.sqrt(12) * (torch.rand(n, dtype=torch.float64) - 0.5)),
        "Laplace noise": drawn(
            lambda n, spread: spread / math.sqrt(2) * torch.distributions.Laplace(0.0, 1.0).sample((n,))
        ),
        "noise cut off at 2.5 spreads": only(truncated),
        "noise of one sign": only(torch.abs),
        "noise in every second step": every_second_step,
        "noise taken back in the next step": taken_back_in_the_next_step,
        "noise only where the sum is not zero": made_by(where_there_is_a_sum),
        "no noise on empty batches": made_by(not_on_empty_batches),
        "noised sum clipped": made_by(clipped_with_it),
    }.items()
]
