"""The kernels that an engine would launch for batches, by what Triton compiles one for; nothing is launched.

python tests/support/launches.py VIEWS PRECISION PLACES...      writes those of each batch as JSON to standard output
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402
from triton.runtime.jit import JITFunction  # noqa: E402

from datasites.training.book_keeping import BookKeeping  # noqa: E402
from datasites.training.gpu import affine, packing, products, readiness, rows  # noqa: E402

MODULES = (affine, packing, products, rows)


class EveryWay(nn.Module):
    """Few channels, depthwise, strided, odd numbers, one pixel, scales and shifts, positions, one used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 16, 3, 2, 1), nn.GroupNorm(4, 16)
        self.depthwise, self.strided = nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.Conv2d(16, 21, 1, 2, bias=False)
        self.grouped, self.large = nn.Conv2d(21, 42, 3, 1, 1, groups=3), nn.Conv2d(42, 48, 3, 1, 1)
        self.squeeze, self.layer_norm = nn.Conv2d(48, 48, 1), nn.LayerNorm(48)
        self.twice, self.head = nn.Linear(48, 48), nn.Linear(48, 3)
        self.copied = nn.Parameter(torch.randn(1, 25, 48))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = F.silu(self.norm(self.first(images)))
        values = self.large(self.grouped(self.strided(self.depthwise(values))))
        values = values * torch.sigmoid(self.squeeze(values.mean((2, 3), keepdim=True)))
        values = self.layer_norm(values.flatten(2).transpose(1, 2) + self.copied)
        return self.head(self.twice(F.gelu(self.twice(values))).mean(1))


class Noted:
    """In the place of a kernel: notes what it would be compiled for."""

    def __init__(self, kernel: JITFunction[Any], found: set[str]) -> None:
        self._kernel, self._found = kernel, found

    def __getitem__(self, grid: Any) -> Any:
        def launch(*given: Any, **settings: Any) -> None:
            named = dict(zip((one.name for one in self._kernel.params), given, strict=False)) | settings
            own = {one.name: _kind(named[one.name], one) for one in self._kernel.params}
            others = {name: value for name, value in settings.items() if name not in own}
            self._found.add(json.dumps([self._kernel.fn.__name__, own, others]))

        return launch


def _kind(value: Any, parameter: Any) -> Any:
    """All of an argument that another kernel may be compiled for."""
    if parameter.is_constexpr:
        return value
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {value.data_ptr() % 16 == 0}"
    width = "i32" if -(2**31) <= value < 2**31 else "i64"
    return width if parameter.do_not_specialize else f"{width} {value == 1} {value % 16 == 0}"


def noted() -> set[str]:
    """Takes all kernels' places; what is found there grows as an engine is used."""
    found: set[str] = set()

    def put(module: ModuleType) -> None:
        for name, value in list(vars(module).items()):
            if isinstance(value, JITFunction):
                setattr(module, name, Noted(value, found))

    for module in MODULES:
        put(module)
    readiness.kernels_run_on = lambda device: True  # type: ignore[assignment]
    return found


def main(views: int, precision: str, *places: int) -> None:
    torch.manual_seed(0)
    found, engine, came = noted(), BookKeeping(EveryWay(), 1.0), {}
    for count in places:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            engine.norms_and_sum(torch.randn(views * count, 3, 20, 20), torch.zeros(count, dtype=torch.int64))
        came[count] = sorted(found)
        found.clear()
    print(json.dumps(came))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
