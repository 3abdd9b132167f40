"""Compiles product kernels for GPUs that need not be there, and prints as JSON what they take of one.

    python tests/support/compiled_kernels.py FOLDER [many]    with Triton's cache in FOLDER; sums of many tiles

Each row has the layer's name, the compute capability, the mode, and of the kernel: registers of a thread, bytes of
those that did not fit (`stack`), shared bytes, products on tensor cores, loads that go on by themselves, and numbers
that are chosen one by one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
MODES = ("norm", "write", "sum")
MODES_ON = {80: ("sum",), 90: MODES, 100: ("sum",), 120: ("sum",)}  # by compute capability; the sum takes most
_TENSOR_CORES = ("wgmma.mma_async", "mma.sync", "tcgen05.mma")
_LITTLE_ROOM = (80, 120)  # capabilities of cards some of which have the least shared memory
# Channels, outputs and positions.
_SIZES = ((4, 64, 128), (32, 128), (4, 65, 196))
_LOADS = ("cp.async.cg", "cp.async.ca")


def main() -> None:
    """Prints the rows."""
    folder = Path(sys.argv[1])
    os.environ["TRITON_CACHE_DIR"] = str(folder)
    os.environ.pop("TRITON_INTERPRET", None)
    sys.path.insert(0, str(PROJECT))
    many = sys.argv[2:] == ["many"]
    chosen = (many_tiles(), dict.fromkeys(_LITTLE_ROOM, ("sum",))) if many else (layers(), MODES_ON)
    print(json.dumps(list(_rows(folder, *chosen))))


def layers() -> dict[str, tuple[Any, int]]:
    """Layers, each with the halves of its operands."""
    from datasites.training.gpu.plan import Geometry

    def convolution(channels: int, outputs: int, side: int) -> Geometry:
        plane = (1, side, side)
        return Geometry(64, 1, channels, outputs, 1, plane, plane, (1, 3, 3), padding=(0, 1, 1))

    return {
        "3 x 3": (convolution(256, 256, 14), 1),
        "3 x 3, halves": (convolution(256, 256, 14), 2),
        "3 x 3, halves behind each other": (convolution(512, 512, 2), 2),
        "few channels": (convolution(4, 64, 32), 1),
        "a block and a tail": (Geometry(64, 1, 384, 1536, 1, (1, 1, 65), (1, 1, 65)), 1),
    }


def many_tiles() -> dict[str, tuple[Any, int]]:
    """Layers of which no two have the same tiles: of few and many channels, outputs and positions, with a kernel of
    three and of one."""
    from datasites.training.gpu.plan import Geometry, plan_of

    found = {}
    for halves, taps, channels, outputs, places in product((1, 2), (1, 3), *_SIZES):
        line = (1, 1, places)
        geometry = Geometry(64, 1, channels, outputs, 1, line, line, (1, 1, taps), padding=(0, 0, taps // 2))
        plan = plan_of(geometry, halves=halves)
        kept = (plan.kind, plan.products, plan.rows, plan.columns, plan.steps, plan.tail, plan.blocks == 1)
        found[str(kept)] = (geometry, halves)
    return found


def _rows(
    folder: Path, chosen: dict[str, tuple[Any, int]], modes_on: dict[int, tuple[str, ...]]
) -> Iterator[dict[str, Any]]:
    from datasites.training.gpu.plan import plan_of

    for name, (geometry, halves) in chosen.items():
        plan = plan_of(geometry, halves=halves)
        for capability, names in modes_on.items():
            for mode in names:
                row = {"layer": name, "capability": capability, "mode": mode, "products": plan.products}
                yield row | _compiled(geometry, plan, MODES.index(mode), capability, folder)


def _compiled(geometry: Any, plan: Any, mode: int, capability: int, folder: Path) -> dict[str, int]:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from datasites.training.gpu.plan import GATHER
    from datasites.training.gpu.product_kernel import products
    from datasites.training.gpu.products import stages_of

    known = {
        "mode": mode,
        "kind": plan.kind,
        "deep": False,
        "one": geometry.views * plan.blocks == 1,
        "products": plan.products,
        "rows": plan.rows,
        "columns": plan.columns,
        "steps": plan.steps,
        "tail": plan.tail,
        "narrow": geometry.channels if plan.kind == GATHER else 1,
    }
    names = products.arg_names
    types = {"x": "*bf16", "g": "*bf16", "factors": "*fp32", "squares": "*fp64", "out": "*fp32"}
    signature = {name: "constexpr" if name in known else types.get(name, "i32") for name in names}
    sixteens = (*types, "channels", "outputs", "own_channels", "own_outputs")
    kernel = triton.compile(
        ASTSource(
            products,
            signature,
            {(names.index(name),): value for name, value in known.items()},
            {(names.index(name),): [["tt.divisibility", 16]] for name in sixteens},
        ),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": plan.warps, "num_stages": stages_of(plan, mode)},
    )
    ptx = kernel.asm["ptx"]
    return {
        **_resources(kernel.asm["cubin"], folder),
        "shared": kernel.metadata.shared,
        "on_tensor_cores": sum(ptx.count(name) for name in _TENSOR_CORES),
        "loads_beside": sum(ptx.count(name) for name in _LOADS),
    }


def _resources(cubin: bytes, folder: Path) -> dict[str, int]:
    import triton

    file = folder / "kernel.cubin"
    file.write_bytes(cubin)
    program = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    told = subprocess.run([program, "--dump-resource-usage", file], capture_output=True, text=True, check=True).stdout
    found = dict(part.split(":") for part in told.split() if part.startswith(("REG:", "STACK:")))
    code = subprocess.run([program, "--dump-sass", file], capture_output=True, text=True, check=True).stdout
    return {"registers": int(found["REG"]), "stack": int(found["STACK"]), "chosen": code.count(" FSEL ")}


if __name__ == "__main__":
    main()
