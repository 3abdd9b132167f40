"""The book-keeping engine, layer by layer, against plain autograd on one picture at a time."""

from __future__ import annotations

import copy
import weakref

import pytest
import torch
import torch.nn.functional as F
from support.clipping_oracle import distance, norm_of, one_by_one
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from datasites.training.book_keeping import BookKeeping, patches, product_sums
from datasites.training.book_keeping import gram as gram_rules
from datasites.training.book_keeping.book import Book, Computed, InstantiatedGradient
from datasites.training.book_keeping.gram import gram, lower_gram, roundings, square_norms_of
from policies.errors import PlanError

PICTURES, CLASSES = 5, 3
LABELS = torch.tensor([0, 1, 2, 1, 0])


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, values):
        return self.function(values)


class StandardisedConv2d(nn.Conv2d):
    """Weight standardisation: each output channel's weights have mean 0 and spread `gain`."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.gain = nn.Parameter(torch.rand(len(self.weight), 1, 1, 1) + 0.5)

    def forward(self, values):
        flat = self.weight.flatten(1)
        centred = (flat - flat.mean(1, keepdim=True)) / (flat.std(1, keepdim=True) + 1e-5)
        return self._conv_forward(values, centred.view_as(self.weight) * self.gain, self.bias)


class BatchNormStandardisedConv2d(nn.Conv2d):
    """The same by way of batch_norm on the weights, as well-known libraries do it."""

    def forward(self, values):
        rows = self.weight.reshape(1, len(self.weight), -1)
        weight = F.batch_norm(rows, None, None, training=True, momentum=0.0, eps=1e-6).reshape_as(self.weight)
        return F.conv2d(values, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Transformer(nn.Module):
    """One block with a class token, a positional embedding and attention; `fused` or written out."""

    def __init__(self, fused):
        super().__init__()
        self.fused = fused
        self.patches = nn.Conv2d(2, 12, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 12) * 0.1)
        self.positions = nn.Parameter(torch.randn(1, 5, 12) * 0.1)
        self.scale = nn.Parameter(torch.rand(1, 1, 12))
        self.norm_1, self.norm_2 = nn.LayerNorm(12), nn.LayerNorm(12)
        self.qkv, self.out = nn.Linear(12, 36), nn.Linear(12, 12)
        self.up, self.down = nn.Linear(12, 24), nn.Linear(24, 12)
        self.head = nn.Linear(12, CLASSES)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.positions
        x = x + self.attention(self.norm_1(x)) * self.scale
        x = x + self.down(F.gelu(self.up(self.norm_2(x))))
        return self.head(x[:, 0])

    def attention(self, x):
        q, k, v = self.qkv(x).view(len(x), 5, 3, 2, 6).permute(2, 0, 3, 1, 4)
        if self.fused:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = (q @ k.transpose(-1, -2) / 6**0.5).softmax(-1) @ v
        return self.out(mixed.transpose(1, 2).reshape(len(x), 5, 12))


class Residual(nn.Module):
    """In-place addition and in-place activations, as torchvision's own blocks have them."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1, bias=False)
        self.norm_1, self.norm_2 = nn.GroupNorm(4, 8), nn.GroupNorm(2, 8)
        self.conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, images):
        x = F.relu_(self.norm_1(self.stem(images)))
        y = self.norm_2(self.conv(x))
        y += x
        return self.head(F.hardswish(y, inplace=True).mean((2, 3)))


class Shared(nn.Module):
    """The same convolution twice, and one matrix as two layers' weight."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.inner = nn.Linear(2 * 64, 2 * 64)
        self.head = nn.Linear(2 * 64, CLASSES)

    def forward(self, images):
        x = self.conv(F.relu(self.conv(images))).flatten(1)
        return self.head(F.linear(torch.tanh(self.inner(x)), self.inner.weight))


class Words(nn.Module):
    """An embedding with padding, whose repeated tokens add up."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 6, padding_idx=0)
        self.mixing = nn.Conv1d(6, 5, 3, padding="same")
        self.head = nn.Linear(5, CLASSES)

    def forward(self, tokens):
        return self.head(torch.tanh(self.mixing(self.embedding(tokens).transpose(1, 2))).mean(2))


class PictureAndWords(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.words = Words()
        self.head = nn.Linear(4 + CLASSES, CLASSES)

    def forward(self, inputs):
        images, tokens = inputs
        return self.head(torch.cat([self.conv(images).mean((2, 3)), self.words(tokens)], dim=1))


def headed(*layers, features):
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, CLASSES))


def few_positions(layer, *, features):
    """A layer on 64 channels of 2 x 2 pixels, whose weight is large beside them: its norms are ghost norms."""
    return headed(nn.Conv2d(2, 64, 4, 4), nn.Tanh(), layer, features=features)


def frozen(model, *names):
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name not in names
    return model


def only_biases(model):
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.endswith("bias")
    return model


def pictures(views=1):
    return torch.randn(views * PICTURES, 2, 8, 8)


def tokens(views=1):
    return torch.tensor([[1, 2, 2, 0], [3, 3, 3, 3], [0, 0, 0, 0], [6, 5, 4, 1], [2, 1, 2, 1]]).repeat(views, 1)


MODELS = {
    "wide_linear": (lambda: headed(features=128), pictures),
    "positions": (lambda: headed(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 30), features=2 * 8 * 30), pictures),
    "convolution": (lambda: headed(nn.Conv2d(2, 3, 3), features=3 * 36), pictures),
    "ghost": (lambda: few_positions(nn.Conv2d(64, 64, 3, padding=1), features=256), pictures),
    "ghost_1x1": (lambda: few_positions(nn.Conv2d(64, 64, 1), features=256), pictures),
    "ghost_stride": (lambda: few_positions(nn.Conv2d(64, 64, 2, stride=2, padding=1), features=256), pictures),
    "ghost_dilation": (
        lambda: few_positions(nn.Conv2d(64, 64, (3, 2), padding=(2, 0), dilation=(2, 1)), features=128),
        pictures,
    ),
    "kernel_beyond_the_picture": (
        lambda: headed(nn.Conv2d(2, 64, 4, 4), nn.Conv2d(64, 64, 5, padding=2, groups=64), features=256),
        pictures,
    ),
    "kernel_far_beyond_the_picture": (
        lambda: headed(nn.Conv2d(2, 6, 8), nn.Conv2d(6, 64, (3, 5), padding=(1, 2)), features=64),
        pictures,
    ),
    "kernel_with_gaps_beyond_the_picture": (
        lambda: few_positions(nn.Conv2d(64, 64, 3, padding=2, dilation=2, stride=2), features=64),
        pictures,
    ),
    "groups": (
        lambda: headed(nn.Conv2d(2, 8, 3, stride=2, padding=1, groups=2), nn.Conv2d(8, 4, 3, groups=4), features=16),
        pictures,
    ),
    "uneven_same": (
        lambda: headed(nn.Conv2d(2, 3, 2, padding="same"), nn.Conv2d(3, 3, 3, padding="valid"), features=108),
        pictures,
    ),
    "three_axes": (
        lambda: headed(Lambda(lambda x: x.view(len(x), 1, 2, 8, 8)), nn.Conv3d(1, 3, (2, 3, 3)), features=108),
        pictures,
    ),
    "group_norm": (lambda: headed(nn.Conv2d(2, 6, 3), nn.GroupNorm(3, 6), nn.Tanh(), features=216), pictures),
    "layer_norm": (lambda: headed(nn.LayerNorm((8, 8)), nn.Conv2d(2, 6, 3), nn.Tanh(), features=216), pictures),
    "standardised": (lambda: headed(StandardisedConv2d(2, 4, 3), nn.GroupNorm(2, 4), features=144), pictures),
    "batch_norm_standardised": (lambda: headed(BatchNormStandardisedConv2d(2, 4, 3), features=144), pictures),
    "transformer": (lambda: Transformer(fused=False), pictures),
    "fused_transformer": (lambda: Transformer(fused=True), pictures),
    "residual": (Residual, pictures),
    "shared": (Shared, pictures),
    "words": (Words, tokens),
    "picture_and_words": (PictureAndWords, lambda views=1: (pictures(views), tokens(views))),
    "frozen_first": (lambda: frozen(Residual(), "stem.weight", "norm_1.weight", "norm_1.bias"), pictures),
    "frozen_between": (lambda: frozen(Residual(), "conv.weight", "norm_2.bias"), pictures),
    "only_biases": (lambda: only_biases(Transformer(fused=True)), pictures),
}


UNEVEN = "ignore:Using padding='same' with even kernel lengths:UserWarning"


@pytest.fixture(params=MODELS)
def setting(request):
    """A float64 model and a function that gives its inputs."""
    build, inputs = MODELS[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield build().double(), lambda views=1: in_double(inputs(views))


def in_double(inputs):
    if isinstance(inputs, tuple):
        return tuple(map(in_double, inputs))
    return inputs.double() if inputs.is_floating_point() else inputs


@pytest.mark.parametrize("name", ["convolution", "groups", "residual", "shared", "picture_and_words"])
def test_convolutions_that_are_large_for_each_picture_are_taken_one_by_one(name, monkeypatch):
    monkeypatch.setattr(patches, "_LARGE_ALONE", 0)
    monkeypatch.setattr(patches, "_LARGE_ALONE_WITH_FEW_CHANNELS", 0)
    build, inputs = MODELS[name]
    model, images = build().double(), in_double(inputs())
    expected = one_by_one(model, images, LABELS, 0.1)
    assert distance(BookKeeping(model, 0.1).clipped_sum(images, LABELS), expected) < 1e-6 * norm_of(expected)


class OwnChannels(nn.Module):
    """A kernel for each channel, and a norm of as many groups."""

    def __init__(self, channels, **settings):
        super().__init__()
        self.own = nn.Conv2d(channels, channels, groups=channels, **settings)
        self.norm = nn.GroupNorm(2, channels)
        self.head = nn.Linear(channels, CLASSES)

    def forward(self, images):
        return self.head(torch.tanh(self.norm(self.own(images))).square().mean((2, 3)))


DEPTHWISE = {
    "a library's kernel": (16, (9, 9), {"kernel_size": 3, "padding": 1}),
    "a library's kernel, large": (16, (48, 48), {"kernel_size": 3, "padding": 1}),
    "one tap": (16, (5, 5), {"kernel_size": 1}),
    "wide": (16, (9, 9), {"kernel_size": 5, "padding": 2}),
    "wide, strided, uneven": (16, (11, 8), {"kernel_size": 5, "padding": 2, "stride": 2}),
    "wide, far apart": (16, (13, 9), {"kernel_size": 5, "padding": 2, "dilation": 2}),
    "wide, both": (6, (15, 14), {"kernel_size": (5, 4), "padding": (3, 1), "dilation": (2, 3), "stride": (3, 2)}),
    "wider than its picture": (16, (2, 2), {"kernel_size": 5, "padding": 2}),
    "as large as its picture": (16, (3, 3), {"kernel_size": 3}),
    "larger than its picture": (16, (2, 2), {"kernel_size": 3, "padding": 1}),
    "an odd number of channels": (6, (9, 9), {"kernel_size": 7, "padding": 3}),
    "a step beyond the kernel": (16, (14, 14), {"kernel_size": 4, "stride": 5}),
}


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", DEPTHWISE)
def test_kernels_of_own_channels_give_the_sum_of_each_gradient_clipped_alone(name, order, views):
    channels, size, settings = DEPTHWISE[name]
    torch.manual_seed(4)
    model = OwnChannels(channels, **settings)
    images = torch.randn(views * PICTURES, channels, *size)
    double = OwnChannels(channels, **settings).double()
    double.load_state_dict(model.state_dict())
    expected = one_by_one(double, images.double(), LABELS, 0.05, views=views)
    model, images = model.to(memory_format=order), images.to(memory_format=order)
    counted = torch.ones(PICTURES, dtype=torch.bool)
    found = BookKeeping(model, 0.05).norms_and_sum(images, LABELS, counted)[1]
    assert distance(found, expected) <= 1e-5 * norm_of(expected)
    alone = [BookKeeping(model, 0.05).norms_and_sum(images, LABELS, one)[1] for one in torch.eye(PICTURES) > 0]
    assert max(norm_of(one) for one in alone) <= 0.05


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("size", [7, 16, 21, 35])
@pytest.mark.parametrize("channels", [4, 16, 96])
def test_norms_beside_each_other_in_memory_have_each_pictures_gradient(channels, size, affine):
    torch.manual_seed(channels)
    norm = nn.GroupNorm(4, channels, affine=affine)
    model = nn.Sequential(nn.Conv2d(3, channels, 1), norm, nn.Tanh(), nn.AvgPool2d(3), nn.Flatten())
    model.append(nn.Linear(channels * (size // 3) ** 2, CLASSES))
    nn.init.constant_(model[0].bias, 1.0)
    for parameter in norm.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    images = torch.randn(PICTURES, 3, size, size) + torch.arange(3)[:, None, None]
    double = copy.deepcopy(model).double()
    model.to(memory_format=torch.channels_last)
    together = BookKeeping(model, 1e6).clipped_sum(images.to(memory_format=torch.channels_last), LABELS)
    expected = one_by_one(double, images.double(), LABELS, 1e6)
    assert distance(together, expected) <= 1e-5 * norm_of(expected)


def test_norms_of_maps_of_one_pixel_keep_their_digits_in_whatever_format_they_come():
    """Groups of two numbers that differ by a hundred thousandth: torch's kernel for channels_last loses them."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.GroupNorm(4, 8), nn.Flatten(), nn.Linear(8, CLASSES))
    images = torch.empty_strided((PICTURES, 8, 1, 1), (8, 1, 8, 8)).copy_(100 + 1e-3 * torch.randn(PICTURES, 8, 1, 1))
    expected = one_by_one(copy.deepcopy(model).double(), images.double(), LABELS, 1e6)
    found = BookKeeping(model, 1e6).clipped_sum(images, LABELS)
    assert distance(found, expected) <= 0.02 * norm_of(expected)


class ManySmall(nn.Module):
    """Layers of one position and of few, whose inner products and products wait for each other; one in float64."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 48, 4, 4)
        self.few = nn.Sequential(*(nn.Conv2d(48, 48, size, padding=size // 2) for size in (1, 3, 1)))
        self.fewer = nn.Sequential(nn.Conv2d(48, 64, 2), nn.Flatten(), nn.Linear(64, 50), nn.Tanh(), nn.Linear(50, 40))
        self.exact = nn.Linear(40, 30).double()
        self.head = nn.Linear(30, CLASSES)

    def forward(self, images):
        features = self.fewer(torch.tanh(self.few(torch.tanh(self.first(images)))))
        return self.head(torch.tanh(self.exact(features.double())).to(images.dtype))


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("places", [1, 6, 131])
def test_small_layers_have_together_the_norms_and_sums_that_they_have_alone(monkeypatch, places, order):
    torch.manual_seed(9)
    model, labels = ManySmall().to(memory_format=order), torch.arange(places) % CLASSES
    images = torch.randn(places, 2, 8, 8).to(memory_format=order)
    images[places // 2] = torch.nan
    counted = torch.arange(places) % 3 != 1
    norms, sums = BookKeeping(model, 0.1).norms_and_sum(images, labels, counted)
    monkeypatch.setattr(product_sums, "square_lengths", product_sums.square_norms)  # as small layers are measured
    for module in (gram_rules, product_sums):
        monkeypatch.setattr(module, "_FEW", 0)
    alone, apart = BookKeeping(model, 0.1).norms_and_sum(images, labels, counted)
    assert torch.allclose(norms, alone, rtol=1e-14, atol=0, equal_nan=True)
    assert distance(sums, apart) <= 1e-6 * norm_of(apart)
    counted[places // 2] = False
    if counted.any():
        expected = one_by_one(model.double(), images[counted].double(), labels[counted], 0.1)
        assert distance(sums, expected) <= 1e-5 * norm_of(expected)
    else:
        assert norm_of(sums) == 0


@pytest.mark.filterwarnings(UNEVEN)
@pytest.mark.parametrize("bound", [0.1, 1e6])
def test_every_kind_of_layer_gives_the_sum_of_each_gradient_clipped_alone(setting, bound):
    model, inputs = setting
    images = inputs()
    expected = one_by_one(model, images, LABELS, bound)
    got = BookKeeping(model, bound).clipped_sum(images, LABELS)
    assert [g.shape for g in got] == [e.shape for e in expected]
    assert distance(got, expected) < 1e-6 * norm_of(expected)


@pytest.mark.filterwarnings(UNEVEN)
def test_a_pictures_views_are_averaged_before_they_are_clipped(setting):
    model, inputs = setting
    images = inputs(3)
    expected = one_by_one(model, images, LABELS, 0.1, views=3)
    assert distance(BookKeeping(model, 0.1).clipped_sum(images, LABELS), expected) < 1e-6 * norm_of(expected)


@pytest.mark.filterwarnings(UNEVEN)
def test_single_precision_is_exact_to_a_hundred_thousandth(setting):
    model, inputs = setting
    images = inputs()
    expected = one_by_one(model, images, LABELS, 0.1)
    single = tuple(p.float() if p.is_floating_point() else p for p in images) if isinstance(images, tuple) else images
    single = single.float() if isinstance(single, torch.Tensor) and single.is_floating_point() else single
    assert distance(BookKeeping(model.float(), 0.1).clipped_sum(single, LABELS), expected) < 1e-5 * norm_of(expected)


@pytest.mark.parametrize("name", ["transformer", "residual", "ghost", "shared", "groups"])
def test_half_precision_never_loosens_the_bound(name):
    build, inputs = MODELS[name]
    with torch.random.fork_rng():
        torch.manual_seed(4)
        engine, images = BookKeeping(build(), 0.01), 30 * inputs()
    with torch.autocast("cpu", torch.bfloat16):
        for i in range(PICTURES):
            alone = engine.clipped_sum(images[i : i + 1], LABELS[i : i + 1])
            assert {g.dtype for g in alone} <= {torch.float64, torch.float32}
            assert 0.0099 < norm_of(alone) <= 0.01


def test_a_parameter_that_no_layer_uses_has_sum_zero():
    model = Residual()
    model.spare = nn.Linear(3, 3)
    sums = BookKeeping(model, 1.0).clipped_sum(pictures(), LABELS)
    assert [len(s) for s in sums[-2:]] == [3, 3] and norm_of(sums[-2:]) == 0


class Multiplied(nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(128, CLASSES))

    def forward(self, images):
        return images.flatten(1) @ self.matrix


class SpreadMultiplied(Multiplied):
    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(1, 128, CLASSES))

    def forward(self, images):
        return (images.flatten(1) @ self.matrix)[0]


class SharedOverPictures(nn.Module):
    """Adds one picture's token to the next one's features."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 128))
        self.head = nn.Linear(128, CLASSES)

    def forward(self, images):
        return self.head(torch.cat([images.flatten(1), self.token], dim=0)[1:])


class PicturesSecond(nn.Module):
    """As many positions as pictures, and the pictures on the second axis."""

    def __init__(self):
        super().__init__()
        self.mixing = nn.Linear(16, 4)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, images):
        x = images.reshape(len(images), 8, 16)[:, :PICTURES].transpose(0, 1)
        return self.head(self.mixing(x).transpose(0, 1).mean(1))


class WeightOfPictures(nn.Module):
    """A layer whose weight comes from the pictures and whose bias is trained."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(128, 128)
        self.bias = nn.Parameter(torch.zeros(CLASSES))

    def forward(self, images):
        x = self.first(images.flatten(1))
        return F.linear(x, x[:CLASSES], self.bias)


class InPlace(nn.Module):
    """Changes a weight on the way."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(128, CLASSES)

    def forward(self, images):
        with torch.no_grad():
            self.head.weight.mul_(0.5)
        return self.head(images.flatten(1))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: headed(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), features=144), r"'1' \(BatchNorm2d\).*GroupNorm"),
        (lambda: headed(nn.InstanceNorm2d(2, affine=True), features=128), "InstanceNorm2d.*GroupNorm"),
        (lambda: headed(nn.ConvTranspose2d(2, 1, 1), features=64), "ConvTranspose2d.*upsampling"),
        (lambda: headed(Lambda(lambda x: x.flatten(2)), nn.LSTM(64, 2), features=4), "LSTM.*attention"),
        (lambda: headed(nn.MultiheadAttention(8, 2), features=4), "MultiheadAttention.*scaled_dot_product_attention"),
        (lambda: headed(nn.PReLU(), features=128), r"'0.weight'.*prelu.*opacus"),
        (lambda: headed(nn.BatchNorm2d(2, affine=False), features=128), r"'0' \(BatchNorm2d\).*GroupNorm"),
        (lambda: frozen(headed(nn.BatchNorm2d(2), features=128), "0.weight", "0.bias"), "BatchNorm2d.*GroupNorm"),
        (WeightOfPictures, "'bias'.*linear"),
        (Multiplied, "'matrix'.*matmul.*engine 'opacus'"),
        (SpreadMultiplied, "'matrix'.*matmul.*may be added"),
        (SharedOverPictures, "'token'.*cat.*may be added"),
        (PicturesSecond, "'mixing.weight'.*first axis"),
        (InPlace, "'head.weight'.*mul_"),
    ],
)
def test_what_has_no_rule_is_refused_by_name_with_what_to_use_instead(build, said):
    with pytest.raises(PlanError, match=said):
        BookKeeping(build(), 1.0).clipped_sum(pictures(), LABELS)


@pytest.mark.parametrize(("rows", "device"), [(2, "cpu"), (3, "cpu"), (3, "meta")])
def test_pictures_on_another_axis_are_found_out_with_and_without_numbers(rows, device):
    """From three pictures on, a processor is given some in which there are numbers."""
    with pytest.raises(PlanError, match=r"'mixing\.weight'.*first axis"):
        BookKeeping(PicturesSecond(), 1.0).check(pictures()[:1].expand(rows, -1, -1, -1).to(device))


@pytest.mark.parametrize("length", [2, 3])
def test_an_axis_that_is_as_long_as_few_pictures_are_is_not_taken_for_theirs(length):
    model = nn.Sequential(Lambda(lambda x: x.flatten(2).transpose(0, 1)), nn.Linear(64, 3), Lambda(lambda x: x.mean(0)))
    with pytest.raises(PlanError, match=r"'1\.weight'.*first axis"):
        BookKeeping(model, 1.0).check(torch.zeros(8, length, 8, 8))


def test_looking_whether_pictures_stay_apart_leaves_the_model_as_it_was():
    model = headed(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), features=144)
    model.register_buffer("counted", torch.zeros(3))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    BookKeeping(model, 1.0).check(pictures()[:1].expand(8, -1, -1, -1))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_a_frozen_batch_norm_with_public_statistics_treats_each_picture_alone():
    model = frozen(headed(nn.BatchNorm2d(2), features=128), "0.weight", "0.bias").double()
    model[0].eval()
    images = in_double(pictures())
    expected = one_by_one(model, images, LABELS, 0.1)
    assert distance(BookKeeping(model, 0.1).clipped_sum(images, LABELS), expected) < 1e-6 * norm_of(expected)


@pytest.mark.parametrize("settings", [{"max_norm": 1.0}, {"scale_grad_by_freq": True}, {"sparse": True}])
def test_embeddings_whose_rows_depend_on_other_pictures_are_refused(settings):
    model = headed(nn.Embedding(7, 6, **settings), features=24)
    with pytest.raises(PlanError, match=r"'0\.weight'.*defaults"):
        BookKeeping(model, 1.0).clipped_sum(tokens(), LABELS)


@pytest.mark.parametrize("rows", [2, len(LABELS)])
def test_a_refused_model_has_seen_no_picture(rows):
    """It is shown pictures without numbers, or black ones."""
    seen = []
    model = nn.Sequential(Lambda(lambda x: seen.append(x) or x), nn.Flatten(), Multiplied())
    with pytest.raises(PlanError):
        BookKeeping(model, 1.0).clipped_sum(pictures()[:rows], LABELS[:rows])
    assert seen and all(one.device.type == "meta" or not one.any() for one in seen)


def test_terms_that_cancel_beyond_single_precision_do_not_make_a_norm_too_small():
    """Two positions whose products cancel but for one part in a hundred million."""
    inputs = torch.tensor([[[1.0, 1e4], [1.0, 1e4]]])
    grad_output = torch.tensor([[[1e4], [-1e4 - 0.002]]])
    true = float((grad_output.double().transpose(1, 2) @ inputs.double()).square().sum())
    found = square_norms_of(gram(inputs), gram(grad_output), rounded=roundings(2) + roundings(1))
    assert found.item() >= true * (1 - 1e-3)


def test_norms_of_ordinary_terms_get_nothing_added():
    torch.manual_seed(5)
    inputs, grad_output = torch.randn(4, 16, 50), torch.randn(4, 16, 30)
    true = torch.bmm(grad_output.double().transpose(1, 2), inputs.double()).square().sum((1, 2))
    found = square_norms_of(gram(inputs), gram(grad_output), rounded=roundings(50) + roundings(30))
    assert torch.allclose(found, true, rtol=1e-6)


@pytest.mark.parametrize("positions", [47, 48, 49, 64, 65, 100])
@pytest.mark.parametrize(("width", "outputs", "chain"), [(11, 5, 64), (300, 129, 128), (2100, 5, 128), (1100, 70, 64)])
def test_pairs_of_positions_that_are_taken_once_count_twice(positions, width, outputs, chain):
    torch.manual_seed(7)
    inputs, grad_output = torch.randn(3, positions, width), torch.randn(3, positions, outputs)
    true = torch.bmm(grad_output.double().transpose(1, 2), inputs.double()).square().sum((1, 2))
    once = lower_gram(inputs, chain=chain), lower_gram(grad_output, doubled=True, chain=chain)
    rounded = roundings(width, chain) + roundings(outputs, chain)
    assert torch.allclose(square_norms_of(*once, rounded=rounded), true, rtol=1e-6)
    assert torch.allclose(square_norms_of(gram(inputs, chain=chain), once[1], rounded=rounded), true, rtol=1e-6)
    assert (not once[0][:, 0, -1].any()) == (positions >= 48)


@pytest.mark.parametrize("chain", [64, 128])
@pytest.mark.parametrize("width", [1, 64, 65, 128, 129, 1024, 1025, 2048, 2049, 5000])
def test_an_inner_product_is_off_by_no_more_than_is_told(width, chain):
    """Numbers that are all alike, whose sums round the same way in every addition, and random ones."""
    for vectors in (torch.full((1, 2, width), 1.0 + 2.0**-12 + 2.0**-23), torch.rand(1, 2, width) + 0.5):
        true = torch.bmm(vectors.double(), vectors.double().transpose(1, 2))
        allowed = (roundings(width, chain) + 1) * 2.0**-24 * true  # and its numbers' products, each once
        assert ((gram(vectors, chain=chain) - true).abs() <= allowed).all()


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("settings", [{"padding": 1}, {"stride": 2, "padding": (2, 1)}, {"dilation": (2, 1)}])
def test_convolutions_of_few_channels_are_the_same_by_patches_as_by_groups(settings, views, monkeypatch):
    torch.manual_seed(6)
    model = nn.Sequential(nn.Conv2d(3, 6, (3, 2), **settings), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    model.append(nn.Linear(24, 5))
    labels, images = torch.arange(7) % 5, torch.randn(7 * views, 3, 9, 10)
    norms, sums = BookKeeping(model, 0.1).norms_and_sum(images, labels)
    monkeypatch.setattr(product_sums, "MOST_CHANNELS", 0)
    other, by_groups = BookKeeping(model, 0.1).norms_and_sum(images, labels)
    assert torch.allclose(norms, other, rtol=1e-6, atol=0)
    assert distance(sums, by_groups) <= 1e-6 * norm_of(by_groups)
    expected = one_by_one(model.double(), images.double(), labels, 0.1, views)
    assert distance(sums, expected) <= 1e-6 * norm_of(expected)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize(
    ("kernel", "size", "settings"),
    [
        (3, (2, 2), {"padding": 1}),
        (3, (1, 5), {"padding": 1}),
        (1, (4, 4), {"stride": 2}),
        (3, (7, 8), {"stride": 2, "padding": 1}),
        ((3, 2), (4, 4), {"stride": (1, 3), "padding": (2, 1)}),
        (3, (5, 4), {"dilation": 2, "padding": (1, 2)}),
        (4, (2, 3), {"stride": 3, "padding": 4}),
    ],
)
def test_convolutions_on_few_positions_are_the_same_tap_by_tap(kernel, size, settings, views, order, monkeypatch):
    torch.manual_seed(6)
    model = nn.Sequential(nn.Conv2d(24, 20, kernel, **settings), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model.append(nn.Linear(20, 5)).to(memory_format=order)
    labels, images = torch.arange(7) % 5, torch.randn(7 * views, 24, *size).to(memory_format=order)
    at_once = BookKeeping(model, 0.1).clipped_sum(images, labels)
    used, real = [], product_sums.products_by_taps
    monkeypatch.setattr(patches, "products_by_taps", lambda *given: used.append(real(*given)) or used[-1])
    monkeypatch.setattr(patches.Patches, "writing_out_is_better", lambda _: False)
    monkeypatch.setattr(product_sums, "_MANY_CHANNELS", 20)
    by_taps = BookKeeping(model, 0.1).clipped_sum(images, labels)
    assert used and all(part.is_contiguous() for part in by_taps)
    assert distance(by_taps, at_once) <= 1e-6 * norm_of(at_once)
    expected = one_by_one(model.double(), images.double(), labels, 0.1, views)
    assert distance(by_taps, expected) <= 1e-6 * norm_of(expected)


def test_convolutions_are_taken_tap_by_tap_on_few_positions_between_many_channels():
    assert product_sums.tap_by_tap_is_better((512, 512, 3, 3), 4)
    assert product_sums.tap_by_tap_is_better((256, 128, 3, 3), 16)
    assert not product_sums.tap_by_tap_is_better((512, 512, 3, 3), 49)
    assert not product_sums.tap_by_tap_is_better((512, 64, 3, 3), 4)
    assert not product_sums.tap_by_tap_is_better((512, 512, 3), 4)


def test_patches_that_are_many_times_as_large_as_the_outputs_are_not_copied():
    assert product_sums.copying_is_better((16, 3, 3, 3))
    assert product_sums.copying_is_better((64, 3, 7, 7))
    assert not product_sums.copying_is_better((16, 3, 7, 7)), "147 numbers of a patch for 16 outputs"
    assert not product_sums.copying_is_better((6, 1, 5, 5))
    assert not product_sums.copying_is_better((64, 5, 3, 3))
    assert not product_sums.copying_is_better((64, 3, 3))


def test_gradients_of_a_weight_that_is_used_again_and_again_are_not_all_held() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.zeros(3, 4))
    book = Book({"weight": weight}, pictures=PICTURES, views=1)
    for _ in range(6):
        book.announce(weight)
    held, expected = [], torch.zeros(PICTURES, 3, 4)
    for _ in range(6):
        gradients = torch.randn(PICTURES, 3, 4)
        expected += gradients
        held.append(weakref.ref(gradients))
        book.enter(weight, InstantiatedGradient(gradients))
        del gradients
    assert [one() for one in held] == [None] * 6
    assert book.square_norms().sqrt().tolist() == pytest.approx(expected.flatten(1).norm(dim=1).tolist(), rel=1e-5)
    (found,) = book.weighted_sums(torch.ones(PICTURES, dtype=torch.float64))
    assert distance([found], [expected.sum(0)]) <= 1e-5 * norm_of([expected.sum(0)])


class Called(TorchDispatchMode):
    """Counts torch's functions."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.number += 1
        return func(*args, **(kwargs or {}))


OF_WEIGHTS = {
    "pad": lambda weight: F.pad(weight, (1, 0, 0, 1)),
    "tanh": torch.tanh,
    "softmax": lambda weight: weight.softmax(1),
    "roll": lambda weight: weight.roll(1, 0),
    "layer_norm": lambda weight: F.layer_norm(weight, (5,)),
    "clamp": lambda weight: weight.clamp(-0.5, 0.5),
    "standardised": lambda weight: (weight - weight.mean(1, keepdim=True)) / weight.std(1, keepdim=True),
    "mish": F.mish,
}


@pytest.mark.parametrize("name", OF_WEIGHTS)
def test_what_weights_are_made_by_is_gone_back_through_for_all_pictures_at_once(name):
    """But for what torch does picture by picture, and then without a word of it."""
    weight, unused = (torch.randn(4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    computed, called = Computed(value := OF_WEIGHTS[name](weight), [unused, weight]), []
    for pictures in (3, 9):
        gradients = torch.randn(pictures, *value.shape, dtype=torch.float64)
        with Called() as calls:
            none, found = computed.back_to_sources(gradients)
        called.append(calls.number)
        want = torch.stack([torch.autograd.grad(value, weight, one, retain_graph=True)[0] for one in gradients])
        torch.testing.assert_close(found, want)
        assert none is None
    assert (called[0] == called[1]) == (name != "mish")
