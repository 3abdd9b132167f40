"""The noisy step: its spread, its scale, and that nothing reaches the weights around it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from datasites.training.dp_sgd.noise import NoisyOptimizer
from datasites.training.randomness import keyed_noise
from datasites.training.randomness.randomness import SecureRandom


def noisy(weights, *, noise=2.0, bound=0.5, batch=10.0, random=None, after_noise=lambda: None, **sgd):
    parameter = nn.Parameter(torch.as_tensor(weights, dtype=torch.float32).clone())
    optimizer = NoisyOptimizer(
        torch.optim.SGD([parameter], **{"lr": 1.0, **sgd}),
        noise_multiplier=noise,
        max_grad_norm=bound,
        expected_batch=batch,
        random=random or SecureRandom.for_tests(1),
        after_noise=after_noise,
    )
    return parameter, optimizer


def steps(count, size=20_000, **settings):
    """The weights' movement in each of `count` steps on an empty batch."""
    parameter, optimizer = noisy(torch.zeros(size), **settings)
    seen = [parameter.detach().clone()]
    for _ in range(count):
        optimizer.step_with([torch.zeros(size, dtype=torch.float64)])
        seen.append(parameter.detach().clone())
    return torch.diff(torch.stack(seen), dim=0).double().numpy()


def test_an_empty_batch_is_noised_with_the_full_spread():
    (moved,) = steps(1)
    assert stats.kstest(moved / (2.0 * 0.5 / 10.0), "norm").pvalue > 1e-3


def test_the_spread_grows_with_each_of_its_factors_and_shrinks_with_the_public_batch():
    expected = {"noise": 2.0, "bound": 2.0, "batch": 0.5}
    plain = steps(1).std()
    for name, ratio in expected.items():
        doubled = {"noise": 2.0, "bound": 0.5, "batch": 10.0}
        doubled[name] *= 2
        assert steps(1, **doubled).std() / plain == pytest.approx(ratio, rel=1e-6)


def test_noise_is_fresh_in_every_step():
    first, second = steps(2)
    assert not (first == second).any()
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(len(first))


@pytest.mark.parametrize(
    "sizes", [[1], [0, 3], [1024, 1], [1023, 1, 1], [1025, 1024, 0, 1], [30, 30, 5000, 30, 200, 5, 1290], [1] * 70]
)
@pytest.mark.parametrize("threads", [1, 3])
def test_every_number_gets_noise_of_its_own_however_parameters_lie_in_parts(monkeypatch, sizes, threads):
    monkeypatch.setattr(keyed_noise, "_TILES", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    keys, fresh_key = [], SecureRandom.fresh_key
    monkeypatch.setattr(SecureRandom, "fresh_key", lambda self: keys.append(fresh_key(self)) or keys[-1])
    parameters = [nn.Parameter(torch.zeros(size)) for size in sizes]
    optimizer = NoisyOptimizer(
        torch.optim.SGD(parameters, lr=1.0),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        expected_batch=1.0,
        random=SecureRandom(),
        after_noise=lambda: None,
    )
    sums = [torch.full((size,), float(number), dtype=torch.float64) for number, size in enumerate(sizes)]
    for number in range(1, 3):
        before = [parameter.detach().clone() for parameter in parameters]
        optimizer.step_with(sums)
        moved = [old - parameter.detach() for old, parameter in zip(before, parameters, strict=True)]
        found = [part.double() - whole for whole, part in enumerate(moved)]
        assert all((part != 0).all() and (part.abs() < 9).all() for part in found)
        assert len(torch.cat(found).unique()) > 0.95 * sum(sizes)
        assert len(keys) == len(set(keys)) == number


def test_noise_of_as_many_threads_as_there_may_be_is_that_of_one(monkeypatch):
    found = []
    for threads in (1, 2, 3, 7):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        found.append(steps(1, size=4 * keyed_noise.MOST_AT_ONCE + 5))
    assert all(np.array_equal(one, found[0]) for one in found)


def test_seeding_torch_does_not_make_the_noise_repeat():
    moved = []
    for _ in range(2):
        torch.manual_seed(0)
        moved.append(steps(1, size=100, random=SecureRandom())[0])
    assert not (moved[0] == moved[1]).any()


def test_a_sum_is_divided_by_the_public_batch():
    parameter, optimizer = noisy([1.0, 1.0], noise=1e-12, batch=4.0)
    optimizer.step_with([torch.tensor([2.0, -4.0])])
    assert parameter.tolist() == pytest.approx([0.5, 2.0])


def test_the_wrapped_optimiser_finds_no_gradient_before_or_after_a_step():
    parameter, optimizer = noisy([1.0, 1.0])
    seen = []

    class Watching(SecureRandom):
        def noise(self, spread):
            seen.append(parameter.grad)
            return super().noise(spread)

    optimizer._random = Watching()
    optimizer.step_with([torch.ones(2)])
    assert seen == [None], "an un-noised sum lay in grad while noise was drawn"
    moved = parameter.detach().clone()
    optimizer.original_optimizer.step()
    assert torch.equal(parameter, moved)


def test_a_step_without_sums_does_not_reuse_the_last_ones():
    _, optimizer = noisy([1.0])
    optimizer.step_with([torch.ones(1)])
    with pytest.raises(AttributeError):
        optimizer.step()


def test_sums_of_another_number_of_parameters_are_refused():
    _, optimizer = noisy([1.0])
    with pytest.raises(ValueError, match="zip"):
        optimizer.step_with([])


def test_weight_decay_and_later_changes_come_after_the_noise():
    parameter, optimizer = noisy([3.0], noise=1e-12, batch=2.0, weight_decay=0.1)
    optimizer.attach_step_hook(lambda _: parameter.grad.add_(5.0))
    optimizer.step_with([torch.tensor([4.0])])
    # 3 - (4 / 2 + 5 + 0.1 * 3): neither the added 5 nor the decay was divided by the batch
    assert parameter.item() == pytest.approx(3.0 - (2.0 + 5.0 + 0.3))
