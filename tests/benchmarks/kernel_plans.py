"""Times each layer's product kernel with its plan and with others beside it: where a choice of tiles could be better.

    python tests/benchmarks/kernel_plans.py    on a machine with a GPU; writes out/bench/kernel_plans.json

For whoever changes `datasites.training.gpu.plan`: a run chooses nothing by trying. Layers are those that a private pass
of the models meets; kernels are compiled beforehand, in processes beside each other, and timed as a CUDA graph of
several launches, so that no launch waits for Python.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(Path(__file__).resolve().parent)]

from dp_engine import Case, Setting  # noqa: E402

from datasites.training.gpu.plan import BEHIND, GATHER, Geometry, Plan, plan_of  # noqa: E402

OWN = "own"
MODES = ("norm", "write", "sum")
_COMPILERS, _FEW = 14, 2
_LAUNCHES, _REPEATS = 6, 3


@dataclass(frozen=True)
class Layer:
    """A layer's geometry, the halves of its operands, and the modes in which a pass launches its kernel."""

    geometry: Geometry
    halves: int
    modes: tuple[str, ...]


def other_plans(geometry: Geometry, halves: int) -> dict[str, Plan]:
    """The layer's own plan and others, by what differs: warps, loads under way, tiles, positions, pictures."""
    own = plan_of(geometry, halves=halves)
    columns = geometry.outputs // geometry.groups
    found = {OWN: own, f"{12 - own.warps} warps": replace(own, warps=12 - own.warps)}
    found |= {f"{stages} stages": replace(own, stages=stages) for stages in (2, 3, 4) if stages != own.stages}
    if own.columns > 64:
        found["64 columns"] = replace(own, columns=64, column_tiles=-(-columns // 64), warps=4)
    if own.rows > 64 and own.kind != GATHER:
        tiles = -(-geometry.channels // geometry.groups // 64) * geometry.taps
        found["64 rows"] = replace(own, rows=64, row_tiles=tiles, warps=4)
    for steps in (16, 32, 64, 128):
        if own.products != BEHIND and steps not in (own.steps, own.steps + own.tail) and steps <= 2 * geometry.places:
            found[f"{steps} positions"] = replace(own, steps=steps, blocks=-(-geometry.places // steps), tail=0)
    found["norms of four times as many"] = replace(own, per_norm=min(geometry.pictures, 4 * own.per_norm))
    found["sums of twice as many"] = replace(own, per_sum=min(geometry.pictures, 2 * own.per_sum))
    return found


def main() -> None:
    """Times the layers of the models that the arguments name."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--models", nargs="*", default=["resnet18", "vit_small"], help="whose layers (two)")
    options.add_argument("--size", type=int, default=64, help="pixels of a picture's side (64)")
    options.add_argument("--batch", type=int, default=512, help="pictures (512)")
    options.add_argument("--bf16", action="store_true", help="under autocast to bfloat16")
    options.add_argument("--out", type=Path, default=PROJECT / "out" / "bench" / "kernel_plans.json")
    chosen = options.parse_args()
    cases = [Case(model, chosen.size, chosen.batch) for model in chosen.models]
    layers = [layer for layer in _layers(cases, chosen.bf16) if layer.geometry.pictures == chosen.batch]
    refused = _compiled(layers)
    rows = list(_rows(layers, refused))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"written to {chosen.out}")


def _layers(cases: list[Case], bf16: bool) -> list[Layer]:
    import dp_engine_gpu
    import torch

    from datasites.training.gpu.products import Products

    seen: dict[tuple[Geometry, int], set[str]] = {}
    launch = Products._launch

    def watched(self: Products, mode: int, *rest: Any) -> None:
        seen.setdefault((self.geometry, len(self.inputs)), set()).add(MODES[mode])
        launch(self, mode, *rest)

    setting = Setting("cuda", bf16, False, 1)
    Products._launch = watched  # type: ignore[method-assign]
    try:
        for case in cases:
            _, called, _ = dp_engine_gpu._private(*dp_engine_gpu._made(case, setting), setting)
            called()
            del called
            torch.cuda.empty_cache()
    finally:
        Products._launch = launch  # type: ignore[method-assign]
    return [Layer(geometry, halves, tuple(sorted(modes))) for (geometry, halves), modes in seen.items()]


def _compiled(layers: list[Layer]) -> dict[tuple[Layer, str], str]:
    """Compiles every plan's kernels side by side; returns what could not be, and why."""
    jobs = [(layer, name) for layer in layers for name in other_plans(layer.geometry, layer.halves)]
    with ProcessPoolExecutor(min(_COMPILERS, os.cpu_count() or 1), multiprocessing.get_context("spawn")) as pool:
        errors = list(pool.map(_refused, *zip(*jobs, strict=True)))
    return {job: error for job, error in zip(jobs, errors, strict=True) if error}


def _refused(layer: Layer, name: str) -> str | None:
    plan = other_plans(layer.geometry, layer.halves)[name]
    few = replace(layer, geometry=replace(layer.geometry, pictures=_FEW))
    try:
        for _, launched in _launches(few, replace(plan, per_norm=min(_FEW, plan.per_norm), per_sum=1)):
            launched()
    except Exception as error:  # noqa: BLE001 - a plan that a card has no room for is left out, whatever it says
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return None


def _rows(layers: list[Layer], refused: dict[tuple[Layer, str], str]) -> Iterator[dict[str, Any]]:
    for layer in layers:
        times: dict[str, dict[str, float]] = {}
        for name, plan in other_plans(layer.geometry, layer.halves).items():
            if (layer, name) not in refused:
                times[name] = {mode: _milliseconds(launched) for mode, launched in _launches(layer, plan)}
        print(_told(layer, times), flush=True)
        plan = plan_of(layer.geometry, halves=layer.halves)
        yield {**asdict(layer), "plan": asdict(plan), "milliseconds": times}


def _launches(layer: Layer, plan: Plan) -> Iterator[tuple[str, Callable[[], object]]]:
    """What launches the kernel in each mode, on random operands."""
    import torch

    from datasites.training.gpu.products import Products

    geometry, rows = layer.geometry, layer.geometry.views * layer.geometry.pictures
    sizes = ((geometry.pixels, geometry.channels), (geometry.places, geometry.outputs))
    operands = [torch.randn(layer.halves, rows, *size, device="cuda").to(torch.bfloat16) for size in sizes]
    products = Products(geometry, *operands)
    products.__dict__["_plan"] = plan  # where the cached property keeps it
    factors = torch.ones(geometry.pictures, device="cuda")
    ways = {"norm": products.square_norms, "write": products.written, "sum": lambda: products.weighted_sum(factors)}
    for mode in layer.modes:
        yield mode, ways[mode]


def _milliseconds(launched: Callable[[], object]) -> float:
    import torch

    launched()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(_LAUNCHES):
            launched()
    times = []
    for _ in range(_REPEATS + 1):
        begun, done = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begun.record()
        graph.replay()
        done.record()
        done.synchronize()
        times.append(begun.elapsed_time(done) / _LAUNCHES)
    return round(min(times[1:]), 4)


def _told(layer: Layer, times: dict[str, dict[str, float]]) -> str:
    geometry = layer.geometry
    lines = [
        f"{geometry.channels} to {geometry.outputs} channels, kernel {geometry.kernel}, {geometry.places} positions, "
        f"{layer.halves} halves"
    ]
    for mode in layer.modes:
        own = times[OWN][mode]
        others = sorted((found[mode] / own, name) for name, found in times.items() if name != OWN)
        lines.append(f"  {mode} {own:.3f} ms; " + ", ".join(f"{name} {ratio:.2f}" for ratio, name in others[:5]))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
