"""Orders, places, picks, parts that are written and constant tables are captured, with each picture's own gradient."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.captures import SHAPE, Line, Network, captured_and_left_as_it_is, check_each_picture, tokens
from support.clipping_oracle import distance, norm_of, one_by_one

from datasites.training.book_keeping import BookKeeping
from policies.errors import GraphError
from researcher.captures.capture import CapturedModel, capture

GRID = torch.rand(1, 5, 7, 2, generator=torch.Generator().manual_seed(0)) * 2.6 - 1.3


def flat(m: torch.Tensor) -> torch.Tensor:
    return m.flatten(2)


def experts(n: Any, m: torch.Tensor) -> torch.Tensor:
    scores = n.state(m.mean((2, 3)))
    best, which = scores.topk(2, dim=1)
    return m * torch.zeros_like(scores).scatter(1, which, best.softmax(1))[:, :, None, None]


def added(m: torch.Tensor) -> torch.Tensor:
    return flat(m).scatter_add(2, flat(m.flip(3)).argmax(2, keepdim=True).expand(-1, -1, 3), flat(m)[:, :, :3])


def unpooled(m: torch.Tensor, size: Any = None) -> torch.Tensor:
    return F.max_unpool2d(*F.max_pool2d(m, (3, 2), return_indices=True), (3, 2), output_size=size)


def straight_through(n: Any, m: torch.Tensor) -> torch.Tensor:
    rows = n.matrix.t()[:, :4][m.argmax(1)].permute(0, 3, 1, 2)
    return m + (rows - m).detach() + 0.1 * rows


def halves_written(m: torch.Tensor) -> torch.Tensor:
    made = torch.zeros_like(m)
    made[:, :2] = m[:, 2:].tanh()
    made[:, 2:, ::2] = m[:, :2, 1::2]
    made[:, -1, :, 0] = 0.25
    made[:, 1:3] += m[:, :1]
    made[..., 3].mul_(0.5)
    return made


def rows_written(m: torch.Tensor) -> torch.Tensor:
    made = m * 1.0
    made[:, :, torch.tensor([1, 6, -3])] = m[:, :, :3]
    made[:, torch.tensor([0, 2])] = 0.5
    for channel in range(3):
        made[:, channel] = made[:, channel] + m[:, channel + 1]
    return made


def step_by_step(m: torch.Tensor) -> torch.Tensor:
    made = torch.ones_like(m).zero_()
    made[:, :, 0].fill_(1.0)
    for row in range(1, 8):
        made[:, :, row] = 0.5 * made[:, :, row - 1] + m[:, :, row]
    return made


def without(m: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        weights = m.flatten(2).softmax(-1).view_as(m)
    return m * weights


def turned(m: torch.Tensor) -> torch.Tensor:
    theta = torch.tensor([[[0.8, 0.3, 0.1], [-0.3, 0.8, 0.0]]], dtype=m.dtype).expand(m.shape[0], -1, -1)
    return F.grid_sample(m, F.affine_grid(theta, list(m.shape), align_corners=False), align_corners=False)


def sampled(m: torch.Tensor, **settings: Any) -> torch.Tensor:
    return F.grid_sample(m, GRID.to(m.dtype).expand(m.shape[0], -1, -1, -1), **settings)


# `n` is the network, `m` its maps, (B, 4, 8, 6).
LINES: dict[str, Line] = {
    "the largest three": lambda n, m: flat(m).topk(3, dim=2)[0],
    "the smallest three of channels": lambda n, m: m.topk(3, dim=1, largest=False)[0],
    "places of the largest": lambda n, m: m.mean((2, 3)).topk(2, dim=1)[1].float() * m.mean((2, 3))[:, :2],
    "experts by topk and scatter": experts,
    "tokens of the highest scores": lambda n, m: tokens(m).gather(
        1, n.state(tokens(m))[..., 0].topk(5, dim=1)[1][..., None].expand(-1, -1, 4)
    ),
    "the third": lambda n, m: flat(m).kthvalue(3, dim=2, keepdim=True)[0] * flat(m),
    "sorted": lambda n, m: flat(m).sort(dim=2)[0] + m.sort(dim=1, descending=True).values.flatten(2),
    "sorted and put back": lambda n, m: torch.zeros_like(flat(m)).scatter(
        2, flat(m).argsort(dim=2), flat(m).sort(dim=2)[0].tanh()
    ),
    "in the order of another": lambda n, m: flat(m).gather(2, flat(m.flip(3)).argsort(dim=2, descending=True)),
    "where the largest is": lambda n, m: m * m.argmax(1, keepdim=True) + m * m.max(1)[1].float()[:, None],
    "where the smallest is": lambda n, m: m * (m.argmin(1, keepdim=True) == 2) + m.min(2)[1][:, :, None] * m,
    "the largest as ones": lambda n, m: m * F.one_hot(m.argmax(1), 4).movedim(-1, 1),
    "medians": lambda n, m: torch.cat([flat(m).median(2)[0], m.median(1)[0].flatten(1), m.median(1)[1].flatten(1)], 1),
    "quantiles": lambda n, m: flat(m).quantile(0.3, dim=2) + m.flatten(1).quantile(0.5, dim=1, keepdim=True),
    "quantiles of other kinds": lambda n, m: sum(
        (flat(m).quantile(0.26, dim=2, interpolation=kind) for kind in ("lower", "higher", "midpoint")), m[:, :, 0, 0]
    ),
    "a trained vector sorted": lambda n, m: m * n.vector.sort()[0][:, None, None] + n.vector.topk(2)[0].sum(),
    "added at places": lambda n, m: added(m),
    "unpooled": lambda n, m: unpooled(m, (8, 6)),
    "unpooled of even maps": lambda n, m: F.max_unpool2d(*F.max_pool2d(m.relu(), 2, return_indices=True), [2, 2]),
    "rows of a table": lambda n, m: F.embedding(m.argmin(1), n.matrix) + n.matrix[m.flip(3).argmin(1)],
    "straight through": straight_through,
    "a stopped weight": lambda n, m: m * m.mean((2, 3), keepdim=True).detach() + m * n.vector.detach()[:, None, None],
    "a weight that is stopped at one of two places": lambda n, m: (
        F.linear(tokens(m), n.state.weight.detach()) * F.linear(tokens(m), n.state.weight) * n.vector.detach()
        + n.vector * F.linear(tokens(m), (n.matrix @ n.matrix.t()).detach() + n.matrix @ n.matrix.t())
    ),
    "a part without gradients": lambda n, m: without(m),
    "bounds that are trained": lambda n, m: torch.clamp(m, -n.vector[:, None, None], n.vector[:, None, None]),
    "bounds of tensors": lambda n, m: torch.clamp(m, max=torch.tensor(0.3)) + m.clamp(min=m.flip(3)),
    "in steps": lambda n, m: m * torch.bucketize(m.detach(), torch.tensor([-0.5, 0.0, 0.5]), right=True),
    "of what is finite": lambda n, m: m * m.isfinite() + m.tanh() * ~m.isinf() + (m / m.abs()).nan_to_num(0.5),
    "the greater of two": lambda n, m: torch.fmax(m, m.flip(3)) + torch.fmin(m, m.tanh()),
    "a sharp softplus": lambda n, m: F.softplus(m, 3, 1) + F.leaky_relu(m, -0.2) + F.leaky_relu(m, 1.5),
    "halves that are written": lambda n, m: halves_written(m),
    "rows that are written": lambda n, m: rows_written(m),
    "written step by step": lambda n, m: step_by_step(m),
    "parts in their place": lambda n, m: m.select_scatter(m[:, 0], 1, 2).slice_scatter(m[:, :2], 1, 2, 4, 1),
    "products so far": lambda n, m: m.sigmoid().cumprod(2) + m.tanh().prod(1, keepdim=True) + m.prod(3)[..., None],
    "distances": lambda n, m: torch.cdist(tokens(m), n.matrix.t()).flatten(1),
    "distances by absolute values": lambda n, m: torch.cdist(flat(m)[:, :, :5], n.matrix, p=1.0) + torch.cdist(
        flat(m)[:, :, :5], flat(m)[:, :, 5:10], p=math.inf
    ),
    "a distance of two": lambda n, m: F.pairwise_distance(flat(m), flat(m.flip(1)), p=3, keepdim=True) * flat(m),
    "other norms": lambda n, m: torch.cat(
        [m.norm(p=1, dim=1), m.norm(p=3, dim=1), torch.linalg.vector_norm(m, math.inf, 1), F.normalize(m, 1)[:, 0]], 1
    ),
    "neighbouring channels": lambda n, m: F.local_response_norm(m, 3, alpha=0.5),
    "a product of vectors": lambda n, m: m.mean((2, 3)) @ torch.outer(n.vector, n.vector),
    "resized by cubes": lambda n, m: F.interpolate(m, size=(5, 9), mode="bicubic"),
    "resized by cubes, corners aligned": lambda n, m: F.interpolate(m, (5, 9), mode="bicubic", align_corners=True),
    "resized without aliasing": lambda n, m: torch.cat(
        [F.interpolate(m, size=(3, 4), mode=mode, antialias=True) for mode in ("bilinear", "bicubic")], 1
    ),
    "resized by a factor": lambda n, m: F.interpolate(m, scale_factor=1.3, mode="bilinear"),
    "resized by a factor, to the nearest": lambda n, m: F.interpolate(m, scale_factor=1.3),
    "resized to the nearest, exactly": lambda n, m: F.interpolate(m, size=(5, 9), mode="nearest-exact"),
    "resized along one axis": lambda n, m: F.interpolate(flat(m), size=20, mode="linear") + F.interpolate(flat(m), 20),
    "sampled at places": lambda n, m: sampled(m, align_corners=False),
    "sampled at the border": lambda n, m: sampled(m, align_corners=True, padding_mode="border"),
    "sampled by reflection": lambda n, m: torch.cat(
        [sampled(m, align_corners=corners, padding_mode="reflection") for corners in (True, False)], 1
    ),
    "sampled to the nearest": lambda n, m: sampled(m, align_corners=False, mode="nearest"),
    "turned by a fixed angle": lambda n, m: turned(m),
    "the largest of uneven windows": lambda n, m: F.adaptive_max_pool2d(m, (3, 4)),
    "the largest of uneven windows, along one axis": lambda n, m: F.adaptive_max_pool1d(flat(m), 7),
    "windows added up": lambda n, m: F.fold(F.unfold(m, 3, padding=1).tanh(), (8, 6), 3, padding=1),
    "windows added up, far apart": lambda n, m: F.fold(
        F.unfold(m, (3, 2), dilation=(2, 1), stride=(2, 3)), (8, 6), (3, 2), dilation=(2, 1), stride=(2, 3)
    ),
    "a transposed convolution along one axis": lambda n, m: F.conv_transpose1d(
        flat(m), n.matrix.reshape(4, 1, 5), stride=3, padding=1, output_padding=1
    ),
    "a diagonal": lambda n, m: m[..., :6, :].diagonal(1, 2, 3) + torch.diag_embed(m.mean((2, 3))).sum(1)[:, :, None],
    "channels added": lambda n, m: torch.zeros_like(m).index_add(1, torch.tensor([0, 0, 3, 1]), m, alpha=0.5),
    "a mask that is compared": lambda n, m: F.scaled_dot_product_attention(m, m, m, (m @ m.transpose(2, 3)) > -1),
    "other functions": lambda n, m: (
        torch.logaddexp(m, m.flip(3)) + torch.addcdiv(m, m, m.exp(), value=0.5) + m.erfc() + m.tanh().tan()
        + (0.9 * m.tanh()).atanh() + m.fliplr() + torch.special.expit(m)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_what_orders_picks_or_writes_is_captured_with_each_pictures_own_gradient(name: str) -> None:
    network, captured = captured_and_left_as_it_is(LINES[name])
    check_each_picture(network, captured)


TOGETHER = ("experts by topk and scatter", "sorted and put back", "straight through", "unpooled", "quantiles")


def with_pictures(name: str, count: int) -> tuple[CapturedModel, torch.Tensor, torch.Tensor]:
    _, captured = captured_and_left_as_it_is(LINES[name])
    pictures = torch.randn(count, 3, *SHAPE[:2], generator=torch.Generator().manual_seed(9))
    return captured, pictures, torch.tensor([0, 2, 1, 3])


@pytest.mark.parametrize("name", TOGETHER)
def test_views_of_a_picture_are_added_up_and_an_empty_place_reaches_no_other(name: str) -> None:
    captured, pictures, labels = with_pictures(name, 8)
    model = captured.build()
    expected = one_by_one(model, pictures, labels, 0.4, 2)
    found = BookKeeping(model, 0.4).clipped_sum(pictures, labels, torch.ones(4, dtype=torch.bool))
    assert distance(found, expected) <= 1e-5 * norm_of(expected)
    counted = torch.tensor([True, False, True, True])
    wanted = BookKeeping(model, 0.4).norms_and_sum(pictures, labels, counted)
    for made_up in (0.0, 1e30, math.nan, math.inf):
        pictures[1::4] = made_up
        norms, sums = BookKeeping(model, 0.4).norms_and_sum(pictures, labels, counted)
        assert all(torch.equal(one, other) for one, other in zip(sums, wanted[1], strict=True))
        assert torch.equal(norms[counted], wanted[0][counted])


@pytest.mark.parametrize("name", TOGETHER)
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-10, 1.0, 1e10, 1e30, math.inf, math.nan])
def test_one_picture_of_any_size_adds_no_more_than_the_bound(name: str, size: float) -> None:
    captured, pictures, labels = with_pictures(name, 4)
    pictures[0] *= size
    for clip in (1e-6, 1.0):
        counted = torch.tensor([True, False, False, False])
        assert norm_of(BookKeeping(captured.build(), clip).norms_and_sum(pictures, labels, counted)[1]) <= clip


def test_equal_numbers_are_ordered_by_their_places_and_each_place_is_taken_once() -> None:
    _, captured = captured_and_left_as_it_is(lambda n, m: flat(m * 0).argsort(dim=2, stable=True).float() + 0 * flat(m))
    inside = captured.build()
    weight, bias = (inside.get_parameter(f"head.{name}") for name in ("weight", "bias"))
    weight.data.zero_()
    weight.data[0, :48] = torch.arange(48.0)
    found = inside(torch.randn(2, 3, *SHAPE[:2]))
    assert (found[:, 0] - bias[0]).tolist() == pytest.approx([sum(n * n for n in range(48))] * 2)


def test_an_order_costs_the_square_of_its_numbers() -> None:
    _, plain = captured_and_left_as_it_is(lambda n, m: flat(m))
    _, ordered = captured_and_left_as_it_is(lambda n, m: flat(m).sort(dim=2)[0])
    assert ordered.activation_numbers - plain.activation_numbers > 6 * 4 * 48 * 48


def test_a_step_is_one_at_numbers_above_and_a_number_of_its_own_at_none() -> None:
    network, captured = captured_and_left_as_it_is(lambda n, m: m * torch.heaviside(m.relu(), torch.tensor(0.25)))
    pictures = torch.randn(2, 3, *SHAPE[:2])
    with torch.no_grad():
        torch.testing.assert_close(captured.build()(pictures), network(pictures))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_stand_in_for_what_is_none_as_in_torch(bad: float) -> None:
    def line(n: Any, m: torch.Tensor) -> torch.Tensor:
        return torch.cat([m.nan_to_num(0.5, 2.0, -3.0), m.nan_to_num().clamp(-4, 4), m.isfinite() * 1.0], 1)

    network, captured = captured_and_left_as_it_is(line)
    pictures = torch.randn(2, 3, *SHAPE[:2], generator=torch.Generator().manual_seed(1))
    pictures[1, :, 2, 3] = bad
    with torch.no_grad():
        torch.testing.assert_close(captured.build()(pictures), network(pictures))


def test_parameters_whose_gradient_is_stopped_become_constants_and_are_told() -> None:
    network, captured = captured_and_left_as_it_is(lambda n, m: m * n.vector.detach()[:, None, None])
    assert "1 parameter without a gradient becomes a constant: 'vector'. Comparisons and detach()" in " ".join(
        captured.notes
    )
    assert "vector" not in captured.weights
    check_each_picture(network, captured)


def test_what_orders_needs_no_more_than_the_operators_of_comparisons_and_a_stopped_gradient_is_told_to_be_new() -> None:
    _, ordered = captured_and_left_as_it_is(LINES["sorted and put back"])
    assert {node.operator for node in ordered.graph.nodes} <= {
        *("add", "at_least", "choose", "conv2d", "equal", "expand", "greater", "largest", "linear", "multiply"),
        *("permute", "reshape", "sum", "tanh", "where"),
    }
    _, stopped = captured_and_left_as_it_is(LINES["a stopped weight"])
    assert "without_gradient" in {node.operator for node in stopped.graph.nodes}


REFUSED: dict[str, tuple[Line, str]] = {
    "the largest of pictures": (lambda n, m: m.topk(1, dim=0)[0] + m, "orders the numbers of different pictures"),
    "pictures sorted": (lambda n, m: m.sort(dim=0)[0], "orders the numbers of different pictures"),
    "an order of pictures": (lambda n, m: m * m.argsort(dim=0), "orders the numbers of different pictures"),
    "the brightest picture": (lambda n, m: m * m.argmax(0), "orders the numbers of different pictures"),
    "where the largest of all is": (lambda n, m: m * m.argmax(), "orders the numbers of different pictures"),
    "which picture is brightest": (lambda n, m: m * m.max(0)[1], "reduces over axis 0"),
    "the median of all": (lambda n, m: m - m.median(), "orders the numbers of different pictures"),
    "the median of pictures": (lambda n, m: m - m.median(0)[0], "orders the numbers of different pictures"),
    "the third of pictures": (lambda n, m: m - m.kthvalue(2, dim=0)[0], "orders the numbers of different pictures"),
    "quantiles of pictures": (lambda n, m: m - m.quantile(0.5, dim=0), "orders the numbers of different pictures"),
    "quantiles of all": (lambda n, m: m - m.quantile(0.5), "orders the numbers of different pictures"),
    "picked over pictures": (lambda n, m: m.gather(0, (m[:, :1] > 9).long().expand(-1, 4, -1, -1)), "over the pic"),
    "put over pictures": (
        lambda n, m: m.scatter(0, (m[:, :1] > 9).long().expand(-1, 4, -1, -1), 1.0),
        "over the pictures",
    ),
    "added over pictures": (
        lambda n, m: m.scatter_add(0, (m[:, :1] > 9).long().expand(-1, 4, -1, -1), m),
        "over the pictures",
    ),
    "ranks of one picture for all": (
        lambda n, m: m.gather(2, m[:1].argsort(2).expand(m.shape[0], -1, -1, -1)),
        "some of the pictures",
    ),
    "rows of a table of pictures": (
        lambda n, m: m.mean((2, 3))[(m[:, 0] > 9).long()],
        "index is computed from the pictures",
    ),
    "another picture's table": (
        lambda n, m: F.embedding((m[:, 0] > 9).long(), m.mean((2, 3))),
        "computed from the pictures",
    ),
    "products of pictures so far": (lambda n, m: m.cumprod(0), "different pictures"),
    "a product of pictures": (lambda n, m: m * m.prod(0), "different pictures"),
    "a picture that is written": (lambda n, m: first_written(m), "one of the pictures"),
    "every other picture written": (lambda n, m: others_written(m), "some of the pictures|cannot be traced"),
    "a part of all that is written from others": (lambda n, m: flipped_written(m), "flips over axis 0"),
    "a mask of pictures written": (lambda n, m: mean_written(m), "reduces over axis 0"),
    "pictures turned over": (lambda n, m: m.flipud(), "flips over axis 0"),
    "a mean of pictures without gradient": (lambda n, m: m - m.mean(0).detach(), "reduces over axis 0"),
    "another picture without gradient": (lambda n, m: m - m.roll(1, 0).detach(), "rolls over axis 0"),
    "bounds of another picture": (lambda n, m: m.clamp(max=m.roll(1, 0)), "rolls over axis 0"),
    "distances of pictures": (
        lambda n, m: torch.cdist(m.flatten(1), m.flatten(1))[:, :1] + m.mean((2, 3)),
        "every picture to every other|another way",
    ),
    "a diagonal of pictures": (
        lambda n, m: m.permute(1, 2, 3, 0).diagonal(0, 2, 3).sum() * m,
        "over the pictures|another way|cannot be traced",
    ),
    "channels of pictures added": (
        lambda n, m: m.index_add(0, torch.tensor([0, 1]), m[:2]),
        "pictures",
    ),
    "places of its own for each picture, by cubes": (
        lambda n, m: F.grid_sample(m, m[:, :2].permute(0, 2, 3, 1).tanh(), mode="bicubic", align_corners=False),
        "Use mode='bilinear'",
    ),
    "a place named twice": (
        lambda n, m: flat(m).scatter(2, flat(m).argmax(2, keepdim=True).expand(-1, -1, 3), flat(m)[:, :, :3]),
        "name a place twice",
    ),
    "places that differ along another axis": (
        lambda n, m: m[:, :, :6].scatter(3, m[:, :, :6].argsort(dim=2), m[:, :, 2:]),
        "name a place twice",
    ),
    "a place of each column, which two may have": (
        lambda n, m: m.mean((1, 3)).scatter(1, m.mean(3).argmax(1), m.mean((1, 3)) + 1),
        "name a place twice",
    ),
    "a median's place of each column": (
        lambda n, m: m.mean((1, 3)).scatter(1, m.mean(3).median(1)[1], m.mean((1, 3)) + 1),
        "name a place twice",
    ),
    "a place that is written twice": (lambda n, m: written_twice(m), "writes to a place twice"),
    "unpooled from windows that overlap": (
        lambda n, m: F.max_unpool2d(*F.max_pool2d(m, 3, 1, return_indices=True), [3, 3], [1, 1]),
        "where the largest|windows overlap",
    ),
    "too many to order": (
        lambda n, m: F.interpolate(m, size=(40, 40)).flatten(2).sort(2)[0],
        "orders 1,600 numbers.*up to 1,024 have room",
    ),
    "matrices": (lambda n, m: torch.linalg.svdvals(m[..., :4, :4] + torch.eye(4)), "takes matrices apart"),
    "numbers that a mask names": (lambda n, m: m.masked_select(m > 0).mean() * m, "depends on the numbers"),
    "torch.func": (lambda n, m: torch.func.vmap(lambda one: one.tanh())(m), "without torch.func"),
}


def first_written(m: torch.Tensor) -> torch.Tensor:
    made = m * 1.0
    made[0] = 0.0
    return made


def others_written(m: torch.Tensor) -> torch.Tensor:
    made = m * 1.0
    made[::2] = 0.0
    return made


def flipped_written(m: torch.Tensor) -> torch.Tensor:
    made = m * 1.0
    made[:, 0] = m.flip(0)[:, 0]
    return made


def written_twice(m: torch.Tensor) -> torch.Tensor:
    made = m * 1.0
    made[:, torch.tensor([1, -3])] = m[:, 2:]
    return made


def mean_written(m: torch.Tensor) -> torch.Tensor:
    made = m * 1.0
    made[m > m.mean(0)] = 0.0
    return made


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_let_pictures_meet_or_has_no_rule_is_refused_with_its_reason(name: str) -> None:
    line, why = REFUSED[name]
    with pytest.raises(GraphError, match=f"(?s){why}") as refused:
        capture(Network(line), image_shape=SHAPE, num_classes=4)
    assert "\n" not in refused.value.public


def test_a_view_that_is_read_after_its_value_was_written_into_is_refused() -> None:
    def line(n: Any, m: torch.Tensor) -> torch.Tensor:
        made = m * 1.0
        part = made[:, :2]
        made[:, 0] = 0.0
        return torch.cat([made, part], 1)

    with pytest.raises(GraphError, match=r"an earlier view is read afterwards\. Make that view after"):
        capture(Network(line), image_shape=SHAPE, num_classes=4)


def test_pictures_that_are_written_into_are_refused() -> None:
    class Writes(Network):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            pictures[:, 0] = 0.0
            return super().forward(pictures)

    with pytest.raises(GraphError, match=r"writes into the pictures, a parameter or a buffer\. Write into a copy"):
        capture(Writes(lambda n, m: m), image_shape=SHAPE, num_classes=4)
