"""Whole steps on a GPU that need not be there: tensors without numbers, which say that they lie on it.

python tests/support/unplugged_gpu.py CASE...      writes a row for each as JSON to standard output

torch follows such tensors through each of its functions, and refuses what a GPU would: tensors of two devices, and
branches on what only the device knows. What is launched of Triton's kernels is noted. A row has the case, and of a
private step after one that came before it: with how many pictures, how often each of torch's functions computes, how
many kernels are launched, what waits or crosses to the processor, by name and place, and what torch refused.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
PICTURES = 8, 40
_VIEWS_ALONE = (
    "view",
    "detach",
    "slice",
    "alias",
    "transpose",
    "permute",
    "expand",
    "squeeze",
    "split",
    "select",
    ".t.",
)
_READS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "bincount", "equal.default", "repeat_interleave")


def rows(folder: Path, *cases: str) -> list[dict[str, Any]]:
    """What a process of its own says of the cases. `folder` takes a library that is built for it."""
    library = folder / "unplugged_gpu.so"
    source = str(Path(__file__).with_suffix(".c"))
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", str(library)], check=True, capture_output=True)
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"LD_PRELOAD": str(library), "CUDA_VISIBLE_DEVICES": ""}
    asked = [sys.executable, "-W", "ignore", __file__, *cases]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(done.stderr[-3000:])
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def main(cases: Sequence[str]) -> None:
    """Writes the rows. A case: a model, pixels, precision, with `kernels` or `torch`, views.

    A model: a built-in one's name; `own:SEED`, a graph that is drawn; or `small:WORD`, of `_small`.
    """
    sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]
    print(json.dumps([row for case in cases for row in _rows(case)]))


def _rows(case: str) -> Iterator[dict[str, Any]]:
    name, side, precision, way, views = case.split()
    for pictures in PICTURES:
        row = {"case": case, "pictures": pictures, "calls": {}, "launches": 0, "waits": {}, "refused": ""}
        try:
            step = _Step(name, int(side), pictures, int(views), precision, with_kernels=way == "kernels")
            row |= step.taken()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is in the row
            row["refused"] = f"{type(error).__name__}: {error}" + "".join(getattr(error, "__notes__", ()))
        yield row


def _spec(name: str, side: int) -> Any:
    from support.graph_oracle import RandomGraph
    from support.own_models import own_graph, own_spec

    from policies.plans.model_spec import ModelSpec
    from policies.plans.tokeniser import TextForm

    if name.startswith("own:"):
        seed = name.removeprefix("own:")
        return own_spec(RandomGraph(int(seed)).graph() if seed else own_graph((side, side, 1)))
    if name.startswith("small:"):
        return ModelSpec("linear", (side, side, 3), 4)
    options = {**TextForm(length=5, vocabulary=20).options, "width": 4, "window": 3, "text_features": 8}
    return ModelSpec(name, (side, side, 3), 4, options if name == "image_text" else {})


def _small(word: str) -> Any:
    """A model that does something: reads two tables, or what no step on a GPU should do."""
    import torch
    from torch import nn

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other, self.head = nn.Embedding(9, 5), nn.Embedding(9, 5), nn.Linear(6 * 5, 4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if word == "meets-the-processor" and not images.is_meta:
                images = images + torch.zeros(images.shape[3])
            if word == "asks" and not images.is_meta:
                images = images * float(images.mean())
            if word == "brings" and not images.is_meta:
                images = images * torch.tensor([2.0], device=images.device)
            if word == "one-by-one":
                images = torch.stack([one * 2 for one in images])
            tokens = images.flatten(1)[:, :6].long().clamp(0, 8)
            return self.head((self.one(tokens) + self.other(8 - tokens)).flatten(1))

    return Small()


class _Step:
    """Steps of a private round on the GPU that is not there."""

    def __init__(self, name: str, side: int, pictures: int, views: int, precision: str, *, with_kernels: bool) -> None:
        from datasites.training.dp_sgd.self_check import made_up_batch
        from datasites.training.models import build_undrawn

        self._precision, self._kernels, spec = precision, with_kernels, _spec(name, side)
        word = name.removeprefix("small:")
        self._model = (build_undrawn(spec) if word == name else _small(word)).train()
        self._batch = made_up_batch(spec, pictures, views, "cpu", number=0)

    def taken(self) -> dict[str, Any]:
        import torch
        from torch._subclasses.fake_tensor import FakeTensorMode

        launched: Counter[str] = Counter()
        watch = _watch()
        with _as_if_plugged_in(launched, with_kernels=self._kernels), FakeTensorMode(), watch:
            sums = self._steps(torch.device("cuda", 0), watch, launched)
        assert {part.dtype for part in sums} == {torch.float64}
        calls = {n: count for n, count in watch.calls.items() if not any(part in n for part in _VIEWS_ALONE)}
        return {"calls": calls, "launches": sum(launched.values()), "waits": dict(watch.waits)}

    def _steps(self, device: Any, watch: Any, launched: Counter[str]) -> Any:
        """Two steps, of which the second, which a run would record, is looked at."""
        import torch

        from datasites.training.book_keeping import BookKeeping
        from datasites.training.dp_sgd.loader import Batch
        from datasites.training.dp_sgd.memory import bytes_of_forward
        from datasites.training.dp_sgd.noise import NoisyOptimizer
        from datasites.training.dp_sgd.step_engine import StepEngine
        from datasites.training.gpu import noise
        from datasites.training.randomness.device_noise import DeviceKey
        from datasites.training.randomness.randomness import SecureRandom

        _moved(self._model, device)
        inputs = self._batch.inputs
        there = tuple(_there(part, device) for part in inputs) if isinstance(inputs, tuple) else _there(inputs, device)
        batch = Batch(there, _there(self._batch.labels, device), _there(self._batch.counted, device))
        bytes_of_forward(self._model, there)
        optimizer = torch.optim.SGD(self._model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, fused=True)
        optimizer.param_groups[0]["lr"] = torch.full((), 0.1, device=device)  # asked for its sign if given before
        settings: dict[str, Any] = {"noise_multiplier": 1.0, "max_grad_norm": 1.0, "expected_batch": 8.0}
        noisy = NoisyOptimizer(optimizer, **settings, random=SecureRandom(), after_noise=lambda: None)
        noisy._key = DeviceKey(device, noise if self._kernels else None)
        engine = StepEngine(BookKeeping(self._model, 1.0), "cuda:0", self._precision)
        sums = [torch.zeros_like(part) for part in engine.clipped_sum(batch)]
        for recorded in (False, True):
            watch.calls.clear()
            watch.waits.clear()
            launched.clear()
            watch.looks = recorded
            for _ in range(2):  # a step of two batches
                torch._foreach_add_(sums, engine.clipped_sum(batch))
            noisy._take(sums)
        watch.looks = False
        return sums


def _there(part: Any, device: Any) -> Any:
    import torch

    return torch.empty(part.shape, dtype=part.dtype, device=device)


def _moved(model: Any, device: Any) -> None:
    """Puts tensors without numbers in the place of a model's own."""
    from torch import nn

    for module in model.modules():
        for name, parameter in [(n, p) for n, p in module._parameters.items() if p is not None]:
            module._parameters[name] = nn.Parameter(_there(parameter, device), requires_grad=parameter.requires_grad)
        for name, buffer in [(n, b) for n, b in module._buffers.items() if b is not None]:
            module._buffers[name] = _there(buffer, device)


def _watch() -> Any:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Watch(TorchDispatchMode):
        """Counts what is called, and names what would wait for the device or cross to it."""

        def __init__(self) -> None:
            super().__init__()
            self.calls: Counter[str] = Counter()
            self.waits: Counter[str] = Counter()
            self.looks = False

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
            name = str(func)
            self.calls[name] += self.looks and name != "prim.device.default"
            if "_fused_sgd_" in name:  # which nothing but a GPU can follow
                assert {(one.device.type, one.dtype) for one in given} == {("cuda", torch.float32)}, given
                return None
            try:
                found = func(*args, **(kwargs or {}))
            except Exception as error:
                error.add_note(f" ({name} at {_place()})")
                raise
            made = [one for one in tree_leaves(found) if isinstance(one, torch.Tensor)]
            if self.looks and (_crosses(given, made) or any(read in name for read in _READS)):
                self.waits[f"{name} at {_place()}"] += 1
            return found

    return Watch()


def _crosses(given: list[Any], made: list[Any]) -> bool:
    """Whether numbers go from one side to the other; a single number of the processor is part of a launch."""
    from_gpu, to_gpu = (any(one.is_cuda for one in some) for some in (given, made))
    of_processor = [one for one in given if one.device.type == "cpu"]
    to_processor = any(one.device.type == "cpu" for one in made)
    return (from_gpu and to_processor) or (to_gpu and bool(of_processor) and not from_gpu)


def _place() -> str:
    inside = str(PROJECT / "datasites")
    frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(inside)]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-2:]))


class _Noted:
    """In the place of a kernel: counts its launches, all of whose tensors lie on the GPU."""

    def __init__(self, name: str, launched: Counter[str]) -> None:
        self._name, self._launched = name, launched

    def __getitem__(self, grid: Any) -> Any:
        def launch(*given: Any, **settings: Any) -> None:
            import torch

            tensors = [one for one in (*given, *settings.values()) if isinstance(one, torch.Tensor)]
            assert tensors and all(one.is_cuda for one in tensors), self._name
            self._launched[self._name] += 1

        return launch


@contextmanager
def _as_if_plugged_in(launched: Counter[str], *, with_kernels: bool) -> Iterator[None]:
    """torch takes the GPU for one that knows bfloat16, and the choice of kernels is made."""
    import torch
    from torch.nn.attention import SDPBackend
    from triton.runtime.jit import JITFunction

    from datasites.training.dp_sgd import step_engine
    from datasites.training.gpu import affine, noise, packing, products, readiness, rows

    torch.cuda.amp.common.amp_definitely_not_available = lambda: False  # type: ignore[attr-defined]
    torch.cuda.is_bf16_supported = lambda *asked: True  # type: ignore[assignment]
    step_engine._ATTENTION = [SDPBackend.MATH]  # which of the quicker ones there is, torch asks the device
    readiness.kernels_run_on = lambda device: with_kernels  # type: ignore[assignment]
    kept: list[tuple[ModuleType, str, Any]] = []
    for module in (affine, noise, packing, products, rows):
        for name, value in list(vars(module).items()):
            if isinstance(value, JITFunction):
                kept.append((module, name, value))
                setattr(module, name, _Noted(name, launched))
    try:
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("cases", nargs="+")
    main(options.parse_args().cases)
