"""Translations of torch's own losses, number by number or row by row: what is added up over pictures is no part."""

from __future__ import annotations

import torch

from researcher.captures.translated import Call, Translate, Untranslatable, shape_of
from researcher.captures.writer import Ref

_LEAST = 1e-30  # whose logarithm is a number
MEAN, SUM = 1, 2  # torch's numbers of what a loss does with the rows


def _cross_entropy(call: Call) -> Ref:
    value, target = call.value("self"), call.arguments["target"]
    if not isinstance(target, Ref) or target.shape != value.shape or len(value.shape) != 2:
        raise Untranslatable("its target is no label as the loss is given it, a number for each class")
    smoothing, classes = call.plain("label_smoothing"), value.shape[1]
    if smoothing:
        target = call.affine(target, 1 - smoothing, smoothing / classes, like=shape_of(target))
    terms = call.add("multiply", _log_softmax(call, value), target, like=shape_of(value))
    if call.arguments["weight"] is not None:
        terms = call.add("multiply", terms, call.floats("weight"), like=shape_of(value))
    rows = [1], 0
    return call.affine(call.add("sum", terms, like=rows, axes=[1], keep=False), -1, 0, like=rows)


def _log_softmax(call: Call, value: Ref) -> Ref:
    return call.add("log_softmax", value, like=shape_of(value), axis=1)


def _findings(call: Call) -> Ref:
    """softplus(x) - x y; with weights p of what is present, (1 - y) x + (1 + (p - 1) y) softplus(-x)."""
    value, target = call.value("self"), call.value("target")
    like = shape_of(value)
    present = call.arguments["pos_weight"]
    if present is None:
        product = call.add("multiply", value, target, like=like)
        found = call.add("subtract", call.add("softplus", value, like=like), product, like=like)
    else:
        if not isinstance(present, torch.Tensor):
            raise Untranslatable("its pos_weight is computed from the pictures. It must be constant")
        absent = call.add("multiply", call.affine(target, -1, 1, like=shape_of(target)), value, like=like)
        factor = call.affine(call.add("multiply", target, present - 1, like=like), 1, 1, like=like)
        below = call.add("softplus", call.affine(value, -1, 0, like=like), like=like)
        found = call.add("add", absent, call.add("multiply", factor, below, like=like), like=like)
    return found if call.arguments["weight"] is None else call.add("multiply", found, call.floats("weight"), like=like)


def _difference(call: Call) -> Ref:
    one, other = (call.writer.read(call.floats(name)) for name in ("self", "target"))
    return call.add("subtract", one, other, like=shape_of(other if one.batch is None else one))


def _square(call: Call) -> Ref:
    found = _difference(call)
    return call.add("multiply", found, found, like=shape_of(found))


def _absolute(call: Call) -> Ref:
    found = _difference(call)
    return call.add("absolute", found, like=shape_of(found))


def _bent(name: str) -> Translate:
    """With distance d and c = min(d, b), c^2 / (2 b) + d - c: squares near 0, and a line from b on."""

    def translate(call: Call) -> Ref:
        distance, bend = _absolute(call), float(call.plain(name))
        if bend <= 0:
            return distance
        like = shape_of(distance)
        near = call.add("clamp", distance, like=like, low=0.0, high=bend)
        square = call.affine(call.add("multiply", near, near, like=like), 0.5 / bend, 0, like=like)
        found = call.add("add", square, call.add("subtract", distance, near, like=like), like=like)
        return call.affine(found, bend, 0, like=like) if name == "delta" else found

    return translate


def _divergence(call: Call) -> Ref:
    """t (log t - x), and -t x where t is 0; a target of logarithms is t's."""
    value, target = call.value("self"), call.value("target")
    like = shape_of(value)
    if call.plain("log_target"):
        weight, log = call.add("exponential", target, like=shape_of(target)), target
    else:
        above = call.add("clamp", target, like=shape_of(target), low=_LEAST, high=1.0 / _LEAST)
        weight, log = target, call.add("logarithm", above, like=shape_of(target))
    return call.add("multiply", weight, call.add("subtract", log, value, like=like), like=like)


LOSSES: dict[str, Translate] = {
    "binary_cross_entropy_with_logits": _findings,
    "cross_entropy_loss": _cross_entropy,
    "huber_loss": _bent("delta"),
    "kl_div": _divergence,
    "l1_loss": _absolute,
    "mse_loss": _square,
    "smooth_l1_loss": _bent("beta"),
}
"""By the names of torch's operators."""
