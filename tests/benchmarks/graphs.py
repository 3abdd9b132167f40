"""Which public architectures can be captured as graphs, and how far private gradients are from plain autograd.

    make bench-graphs          writes out/bench/graphs.json, one entry for each architecture

The oracle is plain autograd in float64, one picture at a time, on the captured network with its replacements. Sums are
of unclipped gradients: what is compared is each picture's own gradient and the sum. How far plain autograd in float32
is from the same oracle stands beside, and how far the rules are from it where both share one forward pass: a network
whose forward pass rounds badly is far from float64 with any rules.

Architectures that exist as built-in models are timed beside these, as a graph and as built in, in turns: what is told
is the median of the pairs' ratios, of the processor's time for a step's norms and sums. With `--device cuda` it is time
by the clock, of a batch that fills the GPU, as rounds compute it: recorded, and by calls besides.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from datasites.training.book_keeping import BookKeeping
from datasites.training.dp_sgd.loader import Batch
from datasites.training.dp_sgd.step_engine import StepEngine
from datasites.training.dp_sgd.step_sums import CalledSums, RecordedSums
from datasites.training.gpu.step import Recorder
from datasites.training.models import build_model
from policies.errors import PlanError
from policies.plans.model_spec import ModelSpec
from researcher.captures.capture import capture

_SIZED = {"img_size": 64}
# Library, name, side of a picture, settings.
ARCHITECTURES: tuple[tuple[str, str, int, dict[str, object]], ...] = (
    ("timm", "resnet18", 64, {}),
    ("timm", "resnet50", 64, {}),
    ("timm", "resnext50_32x4d", 64, {}),
    ("timm", "resnetv2_50", 64, {}),
    ("timm", "densenet121", 64, {}),
    ("timm", "regnety_002", 64, {}),
    ("timm", "efficientnet_b0", 64, {}),
    ("timm", "efficientnet_lite0", 64, {}),
    ("timm", "mobilenetv3_small_100", 64, {}),
    ("timm", "mobilenetv4_conv_small", 64, {}),
    ("timm", "convnext_atto", 64, {}),
    ("timm", "convnextv2_atto", 64, {}),
    ("timm", "vit_tiny_patch16_224", 64, _SIZED),
    ("timm", "deit_tiny_patch16_224", 64, _SIZED),
    ("timm", "swin_tiny_patch4_window7_224", 64, {**_SIZED, "window_size": 4}),
    ("timm", "maxvit_tiny_tf_224", 64, _SIZED),
    ("timm", "coatnet_nano_rw_224", 64, _SIZED),
    ("timm", "edgenext_xx_small", 64, {}),
    ("timm", "poolformer_s12", 64, {}),
    ("timm", "resmlp_12_224", 224, {}),
    ("timm", "inception_next_atto", 64, {}),
    ("timm", "repvit_m0_9", 64, {}),
    ("timm", "mixer_s32_224", 224, {}),
    ("timm", "ecaresnet26t", 64, {}),
    ("timm", "nf_regnet_b0", 64, {}),
    ("timm", "mobileone_s0", 64, {}),
    ("timm", "ghostnetv2_100", 64, {}),
    ("timm", "fastvit_t8", 64, {}),
    ("timm", "hgnetv2_b0", 64, {}),
    ("timm", "convmixer_768_32", 64, {}),
    ("timm", "efficientvit_b0", 64, {}),
    ("timm", "efficientformer_l1", 224, {}),
    ("timm", "levit_128s", 224, {}),
    ("timm", "convit_tiny", 224, {}),
    ("timm", "xcit_nano_12_p16_224", 64, _SIZED),
    ("timm", "cait_xxs24_224", 64, _SIZED),
    ("timm", "pit_ti_224", 224, {}),
    ("timm", "mvitv2_tiny", 64, _SIZED),
    ("timm", "davit_tiny", 64, {}),
    ("timm", "tiny_vit_5m_224", 224, {}),
    ("timm", "swinv2_tiny_window8_256", 64, _SIZED),
    ("timm", "hrnet_w18_small", 64, {}),
    ("timm", "inception_v3", 96, {}),
    ("timm", "coat_lite_tiny", 64, _SIZED),
    ("timm", "gcvit_xxtiny", 224, {}),
    ("timm", "hieradet_small", 64, {}),
    ("timm", "eva02_tiny_patch14_224", 56, {"img_size": 56}),
    ("timm", "crossvit_tiny_240", 240, {}),
    ("timm", "tnt_s_legacy_patch16_224", 64, _SIZED),
    ("timm", "volo_d1_224", 64, _SIZED),
    ("timm", "vit_small_r26_s32_224", 64, _SIZED),
    ("timm", "efficientvim_m1", 64, {}),
    ("torchvision", "vit_b_16", 64, {"image_size": 64}),
    ("torchvision", "swin_t", 64, {}),
    ("torchvision", "googlenet", 64, {"aux_logits": False, "init_weights": False}),
    ("torchvision", "mnasnet0_5", 64, {}),
    ("torchvision", "resnet18", 64, {}),
    ("torchvision", "mobilenet_v3_small", 64, {}),
    ("torchvision", "shufflenet_v2_x0_5", 64, {}),
    ("torchvision", "squeezenet1_1", 64, {}),
)
# Built-in models that are timed, all at pictures of 64.
BUILT_IN = (
    *("small_cnn", "scattering_linear", "resnet18", "resnet50", "mobilenet_v3_small", "mobilenet_v3_large"),
    *("efficientnet_lite0", "vit_small"),
)
_PAIRS = 9
_TIMED_PICTURES = {"cpu": 8, "cuda": 512}
_PICTURES = 2
_CLASSES = 5


def main() -> None:
    """Measures every architecture, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--device", choices=list(_TIMED_PICTURES), default="cpu", help="where gradients are computed")
    parser.add_argument("--out", type=Path, default=Path("out/bench/graphs.json"))
    arguments = parser.parse_args()
    found = []
    for library, name, side, settings in ARCHITECTURES:
        if arguments.only is None or name in arguments.only:
            found.append(measured(library, name, side, settings, arguments.device))
            print(json.dumps(found[-1]), flush=True)
            _kept(arguments.out, found)
    for name in BUILT_IN:
        if arguments.only is None or f"built_in:{name}" in arguments.only:
            found.append(timed(name, device=arguments.device))
            print(json.dumps(found[-1]), flush=True)
            _kept(arguments.out, found)


def _kept(file: Path, found: Sequence[dict[str, object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1))


def timed(name: str, *, side: int = 64, device: str = "cpu") -> dict[str, object]:
    """Seconds of a step's norms and sums of a built-in model, as it is and as a graph, in turns."""
    torch.manual_seed(0)
    built_in = build_model(ModelSpec(name, (side, side, 3), _CLASSES))
    own = capture(built_in, image_shape=(side, side, 3), num_classes=_CLASSES).build()
    count = _TIMED_PICTURES[device]
    pictures, labels = torch.randn(count, 3, side, side, device=device), torch.arange(count, device=device) % _CLASSES
    batch = Batch(pictures, labels, torch.ones(count, dtype=torch.bool, device=device))
    engines = [StepEngine(BookKeeping(model.to(device).train(), 1.0), device, "float32") for model in (built_in, own)]
    called = _in_turns([CalledSums(engine) for engine in engines], batch)
    entry: dict[str, object] = {"library": "built in", "name": name, "side": side, "device": device, "batch": count}
    if device == "cpu":
        return entry | called
    recorder = Recorder()
    recorded = _in_turns([RecordedSums(engine, recorder, batch) for engine in engines], batch)
    by_calls = {f"{field}_by_calls": value for field, value in called.items()}
    return entry | recorded | by_calls | {"slower": recorder.slower}


def _in_turns(both: Sequence[CalledSums | RecordedSums], batch: Batch) -> dict[str, float]:
    """Of a built-in model's sums and those of its graph."""

    def seconds(sums: CalledSums | RecordedSums) -> float:
        clock = _clock(batch.labels.device)
        started = clock()
        sums([batch])
        return clock() - started

    for sums in both:
        seconds(sums)
    pairs = [(seconds(both[0]), seconds(both[1])) for _ in range(_PAIRS)]
    return {
        "seconds_built_in": median(one for one, _ in pairs),
        "seconds_own": median(other for _, other in pairs),
        "time_over_built_in": median(other / one for one, other in pairs),
    }


def _clock(device: torch.device) -> Callable[[], float]:
    """Processor time, or on a GPU the clock once the GPU has done what it was told."""

    def once_done() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return time.process_time if device.type == "cpu" else once_done


def measured(library: str, name: str, side: int, settings: dict[str, object], device: str) -> dict[str, object]:
    """One architecture: captured or refused, and its gradients' error."""
    torch.manual_seed(0)
    entry: dict[str, object] = {"library": library, "name": name, "side": side}
    started = time.perf_counter()
    try:
        if library == "timm":
            network = timm.create_model(name, num_classes=_CLASSES, **settings)
        else:
            network = torchvision.models.get_model(name, weights=None, num_classes=_CLASSES, **settings)
        captured = capture(network, image_shape=(side, side, 3), num_classes=_CLASSES)
    except PlanError as error:
        return {**entry, "refused": error.public, "seconds": round(time.perf_counter() - started, 1)}
    entry["seconds"] = round(time.perf_counter() - started, 1)
    entry |= {"nodes": len(captured.graph.nodes), "multiplications": captured.multiplications, "notes": captured.notes}
    return {**entry, **errors(captured.build(), side, device)}


def errors(model: nn.Module, side: int, device: str = "cpu") -> dict[str, float]:
    """Relative errors in float32 of the sum of gradients and of norms, the engine's on the device; see above."""
    made = torch.Generator().manual_seed(1)
    pictures, labels = torch.randn(_PICTURES, 3, side, side, generator=made), torch.arange(_PICTURES) % _CLASSES
    counted = torch.ones(_PICTURES, dtype=torch.bool)
    on_it = [part.to(device) for part in (pictures, labels, counted)]
    norms, found = StepEngine(BookKeeping(model.to(device), 1e9), device, "float32").norms_and_sum(Batch(*on_it))
    norms, sums = norms.cpu(), [part.cpu() for part in found]
    model.cpu()
    losses = F.cross_entropy(model(pictures), labels, reduction="none")
    plain = torch.stack(
        [_flat(torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)).double() for loss in losses]
    )
    exact = model.double()
    parameters = list(exact.parameters())
    each = []
    for picture, label in zip(pictures.double(), labels, strict=True):
        loss = F.cross_entropy(exact(picture.unsqueeze(0)), label.unsqueeze(0))
        each.append(_flat(torch.autograd.grad(loss, parameters)))
    truth, total = torch.stack(each), _flat(sums)
    own, same = truth.norm(dim=1), plain.norm(dim=1)
    return {
        "error_of_sum": _error(total, truth.sum(dim=0)),
        "error_of_norms": float(((norms - own).abs() / own).max()),
        "error_of_plain_float32": _error(plain.sum(dim=0), truth.sum(dim=0)),
        "sum_beside_plain": _error(total, plain.sum(dim=0)),
        "norms_beside_plain": float(((norms - same).abs() / same).max()),
    }


def _flat(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([one.flatten() for one in gradients])


def _error(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found - truth).norm() / truth.norm())


if __name__ == "__main__":
    main()
