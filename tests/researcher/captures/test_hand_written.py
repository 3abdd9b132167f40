"""Networks as people in medical imaging write them by hand: captured, or refused in one line with its place."""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.captures import check_each_picture
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint

from policies.errors import GraphError
from researcher.captures.capture import capture

SHAPE = (16, 16, 3)
CLASSES = 4


class Looped(nn.Module):
    """Blocks in a list, with a number of its own for each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 2, 1)
        self.blocks = nn.ModuleList([nn.Conv2d(6, 6, 3, padding=1) for _ in range(3)])
        self.gains = nn.ParameterList([nn.Parameter(torch.full((1,), 0.5)) for _ in range(3)])
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for number, (block, gain) in enumerate(zip(self.blocks, self.gains, strict=True)):
            x = x + gain * F.relu(block(x)) / (number + 1)
        return self.head(x.mean(dim=(-2, -1)))


class ByShape(nn.Module):
    """Pads where a size is odd, pools while maps are large, and asserts."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 5, 4)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[1] == 3, f"three channels, not {x.shape[1]}"
        x = self.stem(x)
        if x.shape[-1] % 2:
            x = F.pad(x, (0, 1, 0, 1), mode="replicate")
        while x.shape[-1] > 4:
            x = F.max_pool2d(x, 2)
        batch, channels, _, _ = x.size()
        return self.head(x.view(batch, channels, -1).mean(-1))


class Buffered(nn.Module):
    """Normalises by buffers, and windows pictures by a fixed Gaussian."""

    mean: torch.Tensor
    std: torch.Tensor
    window: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2, 0.2, 0.3]).view(1, 3, 1, 1), persistent=False)
        line = torch.linspace(-1, 1, 16)
        self.register_buffer("window", torch.exp(-(line[:, None] ** 2) - line[None] ** 2))
        self.conv, self.head = nn.Conv2d(3, 6, 3, stride=2), nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x - self.mean) / self.std
        return self.head(self.conv(x * self.window).tanh().flatten(2).mean(2))


class Tied(nn.Module):
    """One layer used twice, and a head whose weight is a layer's turned round."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(48, 12)
        self.mix = nn.Linear(12, 12)
        self.head = nn.Linear(48, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = F.pixel_unshuffle(x, 4).flatten(2).transpose(1, 2)
        tokens = self.mix(F.gelu(self.mix(self.embed(patches))))
        back = F.linear(tokens, self.embed.weight.t())
        return self.head(back.mean(1))


class Rearranged(nn.Module):
    """Windows by reshapes and permutes as einops writes them, with heads in one einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.head = nn.Linear(3, 24, bias=False), nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        x = x.reshape(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(b * (h // 4) * (w // 4), 16, c)
        q, k, v = (one.reshape(-1, 16, 2, 4).transpose(1, 2) for one in self.qkv(x).chunk(3, dim=-1))
        scores = torch.einsum("bhid,bhjd->bhij", q, k) * 4**-0.5
        out = torch.einsum("bhij,bhjd->bhid", scores.softmax(-1), v).transpose(1, 2).reshape(b, -1, 8)
        return self.head(out.mean(1))


class Checkpointed(nn.Module):
    """Blocks whose insides are computed again on the way back."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2)
        self.block = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.GroupNorm(2, 6), nn.SiLU())
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = checkpoint(self.block, self.stem(x), use_reentrant=False)
        return self.head(x.amax((2, 3)))


class Residual(nn.Sequential):
    """A Sequential with a way of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + super().forward(x)


def named_blocks() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            stem=nn.Conv2d(3, 6, 3, 2, 1),
            one=Residual(nn.Conv2d(6, 6, 3, padding=1), nn.LeakyReLU(0.1, inplace=True), nn.Conv2d(6, 6, 1)),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            head=nn.Linear(6, CLASSES),
        )
    )


class Symmetric(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight.triu() + weight.triu(1).transpose(-1, -2)


def parametrized() -> nn.Module:
    model = nn.Sequential(
        parametrizations.weight_norm(nn.Conv2d(3, 8, 3, 2)), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
    )
    square = nn.Linear(32, 32)
    parametrize.register_parametrization(square, "weight", Symmetric())
    return nn.Sequential(model, square, nn.Linear(32, CLASSES))


class Dropped(nn.Module):
    """Stochastic depth, as a class of the usual name has it."""

    def __init__(self) -> None:
        super().__init__()

        class DropPath(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                if not self.training:
                    return x
                kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device) < 0.9
                return x * kept / 0.9

        self.stem, self.conv, self.drop = nn.Conv2d(3, 6, 3, 2), nn.Conv2d(6, 6, 3, padding=1), DropPath()
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head((x + self.drop(self.conv(x))).mean((2, 3)))


def gated(x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(gate)


with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)
    scripted_gate = torch.jit.script(gated)


class Scripted(nn.Module):
    """A function that is TorchScript."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.gate, self.head = nn.Conv2d(3, 6, 3, 2), nn.Conv2d(3, 6, 3, 2), nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(scripted_gate(self.stem(x), self.gate(x)).mean((2, 3)))


class Compiled(nn.Module):
    """A method under torch.compile."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 6, 3, 2), nn.Linear(6, CLASSES)

    @torch.compile(backend="eager")
    def features(self, x: torch.Tensor) -> torch.Tensor:
        return F.mish(self.stem(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mean((2, 3)))


class Printing(nn.Module):
    """Says its shapes while it is looked for a fault."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 6, 3, 2), nn.Linear(6, CLASSES)
        self.seen = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        print("after the stem", tuple(x.shape[1:]))
        return self.head(x.mean((2, 3)))


class Unet(nn.Module):
    """Down, up by transposed convolutions, and joined with what was before."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)])
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ModuleList([nn.ConvTranspose2d(8, 8, 2, 2), nn.ConvTranspose2d(8, 4, 2, 2)])
        self.after = nn.ModuleList([nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)])
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        for layer in self.down:
            x = F.relu(layer(x))
            kept.append(x)
            x = F.max_pool2d(x, 2)
        x = F.relu(self.middle(x))
        for layer, after in zip(self.up, self.after, strict=True):
            x = F.relu(after(torch.cat([layer(x), kept.pop()], dim=1)))
        return self.head(x.mean((2, 3)))


class SegNet(nn.Module):
    """Puts numbers back where the largest were."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.back = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.pool, self.unpool = nn.MaxPool2d(2, 2, return_indices=True), nn.MaxUnpool2d(2, 2)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        size = x.size()
        x, places = self.pool(x)
        x = self.unpool(x, places, output_size=size)
        return self.head(F.relu(self.back(x)).mean((2, 3)))


class Experts(nn.Module):
    """The two best of four layers, weighed."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.gate = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 4)
        self.experts = nn.ModuleList([nn.Linear(8, 8) for _ in range(4)])
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).flatten(2).mean(-1)
        best, which = torch.topk(self.gate(x), k=2, dim=-1)
        weights = torch.zeros(x.shape[0], 4, device=x.device, dtype=x.dtype).scatter(1, which, best.softmax(-1))
        made = torch.stack([expert(x) for expert in self.experts], dim=1)
        return self.head((made * weights.unsqueeze(-1)).sum(1))


class Codebook(nn.Module):
    """The nearest of a table's rows for each place, passed straight through."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.table, self.head = nn.Conv2d(3, 4, 4, 4), nn.Embedding(6, 4), nn.Linear(4, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.stem(x).flatten(2).transpose(1, 2)
        far = z.pow(2).sum(-1, keepdim=True) - 2 * z @ self.table.weight.t() + self.table.weight.pow(2).sum(1)
        quantised = self.table(far.argmin(-1))
        straight = z + (quantised - z).detach()
        return self.head((straight + 0.1 * quantised).mean(1))


class Instances(nn.Module):
    """Attention over patches, of which the most attended alone are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.v, self.u = nn.Linear(48, 8), nn.Linear(8, 6), nn.Linear(8, 6)
        self.weight, self.head = nn.Linear(6, 1), nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bag = self.stem(x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2))
        scores = self.weight(torch.tanh(self.v(bag)) * torch.sigmoid(self.u(bag)))
        _, best = scores.squeeze(-1).topk(5, dim=1)
        chosen = bag.gather(1, best.unsqueeze(-1).expand(-1, -1, 8))
        weights = scores.gather(1, best.unsqueeze(-1)).softmax(1)
        return self.head((weights * chosen).sum(1))


class MedianPooled(nn.Module):
    """The median of each channel beside its mean, and the share of bright places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 3, 2), nn.Linear(12, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).flatten(2)
        middle = x.median(dim=-1).values
        return self.head(torch.cat([middle, x.mean(-1), (x - middle[..., None]).relu().mean(-1)], dim=1))


class Filled(nn.Module):
    """Fills a canvas part by part."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        canvas = torch.zeros(x.shape[0], 8, 16, 16, device=x.device)
        for channel in range(4):
            canvas[:, 2 * channel] = x[:, channel].relu()
            canvas[:, 2 * channel + 1, ::2] = x[:, channel, 1::2]
        canvas[:, :, 0] = 0
        canvas[..., -1] *= 0.5
        return self.head(canvas.mean((2, 3)))


class Recurrent(nn.Module):
    """Rows of a picture, read by a GRU whose last state is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(48, 5, batch_first=True), nn.Linear(5, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, state = self.rnn(x.permute(0, 2, 1, 3).flatten(2))
        return self.head(state[-1])


class SqueezeExcite(nn.Module):
    """Channels weighed, and places weighed, as CBAM does."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mlp = nn.Conv2d(3, 8, 3, 2), nn.Sequential(nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 8))
        self.place, self.head = nn.Conv2d(2, 1, 7, padding=3), nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        channels = torch.sigmoid(self.mlp(x.mean((2, 3))) + self.mlp(torch.amax(x, dim=(2, 3))))
        x = x * channels[:, :, None, None]
        places = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], dim=1)
        return self.head((x * self.place(places).sigmoid()).mean((2, 3)))


class Fourier(nn.Module):
    """A code of positions made in forward, by a trained matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.layer, self.head = nn.Linear(2, 4, bias=False), nn.Conv2d(11, 6, 3, 2), nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, _, h, w = x.shape
        rows, columns = torch.meshgrid(torch.linspace(0, 1, h), torch.linspace(0, 1, w), indexing="ij")
        at = 2 * math.pi * self.mix(torch.stack([rows, columns], dim=-1).to(x))
        code = torch.cat([at.sin(), at.cos()], dim=-1).permute(2, 0, 1)
        x = torch.cat([x, code.unsqueeze(0).expand(b, -1, -1, -1)], dim=1)
        return self.head(self.layer(x).relu().mean((2, 3)))


class Blurred(nn.Module):
    """Pools without aliasing by a fixed kernel, and resizes by cubes."""

    kernel: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        kernel = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("kernel", (kernel[:, None] * kernel / 16).repeat(4, 1, 1, 1))
        self.stem, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.conv2d(F.pad(self.stem(x), (1, 1, 1, 1), mode="reflect"), self.kernel, stride=2, groups=4)
        x = F.interpolate(x, size=(9, 11), mode="bicubic", align_corners=False)
        x = F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)
        return self.head(x.tanh().mean((2, 3)))


class Prototypes(nn.Module):
    """Logits by distances to prototypes, as in few-shot learning."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.prototypes = nn.Conv2d(3, 6, 3, 2), nn.Parameter(torch.randn(CLASSES, 6))
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        code = F.normalize(self.stem(x).relu().mean((2, 3)), dim=-1)
        return -self.scale.exp() * (code[:, None] - F.normalize(self.prototypes, dim=-1)).norm(dim=-1)


class Shifted(nn.Module):
    """Channels that are moved by one place in four directions, as in shift networks and gMLP."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix, self.head = nn.Conv2d(3, 8, 2, 2), nn.Conv2d(8, 8, 1), nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        out = torch.zeros_like(x)
        g = x.shape[1] // 4
        out[:, :g, :, 1:] = x[:, :g, :, :-1]
        out[:, g : 2 * g, :, :-1] = x[:, g : 2 * g, :, 1:]
        out[:, 2 * g : 3 * g, 1:] = x[:, 2 * g : 3 * g, :-1]
        out[:, 3 * g :, :-1] = x[:, 3 * g :, 1:]
        return self.head(F.gelu(self.mix(out)).mean((2, 3)))


class Frozen(nn.Module):
    """A frozen trunk under no_grad, and a trained head."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU()).eval().requires_grad_(False)
        self.head = nn.Linear(6, CLASSES)

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.trunk.eval()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            features = self.trunk(x)
        return self.head(features.flatten(2).mean(-1))


class Options(nn.Module):
    """Reads its settings in forward."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options: dict[str, Any] = {"act": "gelu", "pool": "gem", "residual": True} | options
        self.stem, self.body, self.head = nn.Conv2d(3, 6, 3, 2), nn.Conv2d(6, 6, 1), nn.Linear(6, CLASSES)
        self.power = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        act = getattr(F, self.options["act"])
        x = x + act(self.body(x)) if self.options["residual"] else act(self.body(x))
        if self.options["pool"] == "gem":
            x = x.clamp(min=1e-3).pow(self.power).mean((2, 3)).pow(1.0 / self.power)
        else:
            x = x.mean((2, 3))
        return self.head(x)


class Channelled(nn.Module):
    """Deep in channels-last, with a norm and a scale of its own, as ConvNeXt writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.deep = nn.Conv2d(3, 6, 4, 4), nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.norm, self.one, self.two = nn.LayerNorm(6), nn.Linear(6, 12), nn.Linear(12, 6)
        self.gamma, self.head = nn.Parameter(0.1 * torch.ones(6)), nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = x = self.stem(x)
        x = self.deep(x).permute(0, 2, 3, 1)
        x = self.gamma * self.two(F.gelu(self.one(self.norm(x))))
        return self.head((kept + x.permute(0, 3, 1, 2)).mean([-2, -1]))


CAPTURED: dict[str, Callable[[], nn.Module]] = {
    "a loop over layers": Looped,
    "conditions on shapes": ByShape,
    "buffers": Buffered,
    "tied weights": Tied,
    "rearranged by reshapes": Rearranged,
    "checkpointed": Checkpointed,
    "a Sequential of its own": named_blocks,
    "parametrizations": parametrized,
    "stochastic depth": Dropped,
    "TorchScript": Scripted,
    "torch.compile": Compiled,
    "prints": Printing,
    "U-Net": Unet,
    "SegNet": SegNet,
    "experts": Experts,
    "a codebook": Codebook,
    "instances": Instances,
    "medians": MedianPooled,
    "a canvas that is filled": Filled,
    "a recurrent layer": Recurrent,
    "channels and places weighed": SqueezeExcite,
    "a code of positions": Fourier,
    "blurred and resized": Blurred,
    "prototypes": Prototypes,
    "shifted": Shifted,
    "a frozen trunk": Frozen,
    "options": Options,
    "channels last": Channelled,
}


@pytest.mark.parametrize("name", CAPTURED)
def test_a_network_written_by_hand_is_captured_with_each_pictures_own_gradient(name: str) -> None:
    torch.manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        network = CAPTURED[name]()
        captured = capture(network, image_shape=SHAPE, num_classes=CLASSES)
        if name == "stochastic depth":
            network.drop = nn.Identity()  # so that the oracle draws no random number
        check_each_picture(network, captured, SHAPE)


class Deciding(Looped):
    """Goes on only where the maps are bright."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        if x.mean() > 0:
            x = x.relu()
        return self.head(x.mean((2, 3)))


class Halved(Looped):
    """Computes in half precision."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x.half().float()
        return self.head(x.mean((2, 3)))


class Counting(Looped):
    """Asks each picture for a number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        bright = int((x > 0).sum().item())
        return self.head(x.mean((2, 3)) / bright)


class Iterating(Looped):
    """Takes the pictures one by one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = [self.stem(one[None]) for one in x]
        return self.head(torch.cat(made).mean((2, 3)))


class Mixing(Looped):
    """Normalises by the batch's own statistics."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True)
        return self.head(x.mean((2, 3)))


class Remembering(Looped):
    """Keeps a moving average between calls."""

    average: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average", torch.zeros(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).mean((2, 3))
        self.average.mul_(0.9).add_(0.1 * x.mean(0).detach())
        return self.head(x - self.average)


class OutsideTorch(Looped):
    """Goes through NumPy."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        scaled = torch.from_numpy(x.detach().numpy() * 2)
        return self.head((x + scaled).mean((2, 3)))


class Noisy(Looped):
    """Adds noise to its features."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + 0.1 * torch.randn_like(x)
        return self.head(x.mean((2, 3)))


class Picking(Looped):
    """Takes the numbers above a bound, however many they are."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        bright = x[x > 0].mean()
        return self.head(x.mean((2, 3)) * bright)


class Ranking(Looped):
    """Orders the pictures of a batch by their brightness."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).mean((2, 3))
        place = x[:, 0].argsort(dim=0).float()
        return self.head(x) + place[:, None]


class Pairs(nn.Module):
    """Returns its features too."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(768, CLASSES)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.head(x.flatten(1)), x


REFUSED: dict[str, tuple[type[nn.Module], str]] = {
    "a condition on values": (Deciding, r"test_hand_written.py:\d+: if x.mean\(\) > 0.*depends on the numbers"),
    "half precision": (Halved, r"x = x.half\(\).float\(\).*float16. Use float32"),
    "a number of a picture": (Counting, r"\.item\(\)"),
    "pictures one by one": (Iterating, r"for one in x"),
    "statistics of the batch": (Mixing, r"x.mean\(\(0, 2, 3\).*over axis 0, which is that of the pictures"),
    "a moving average": (Remembering, r"self.average"),
    "NumPy": (OutsideTorch, r"torch.from_numpy\(x.detach\(\).numpy\(\) \* 2\)"),
    "noise": (Noisy, r"torch.randn_like\(x\).*draws random numbers"),
    "numbers above a bound": (Picking, r"x\[x > 0\].mean\(\)"),
    "an order of pictures": (Ranking, r"argsort\(dim=0\).*numbers of different pictures"),
    "two results": (Pairs, "2 tensors in a tuple"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_graph_can_be_is_refused_in_one_line_with_its_place(name: str) -> None:
    kind, why = REFUSED[name]
    with pytest.raises(GraphError, match=why) as refused:
        capture(kind(), image_shape=SHAPE, num_classes=CLASSES)
    assert "\n" not in refused.value.public


def test_there_are_thirty_at_least() -> None:
    assert len(CAPTURED) + len(REFUSED) >= 30
