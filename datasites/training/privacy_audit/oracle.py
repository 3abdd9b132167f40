"""Clipped gradients by their definition: plain autograd on one picture at a time, in double precision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from datasites.training.dp_sgd.engine_contract import CLIP_MARGIN
from datasites.training.models import build_model, load_weights
from datasites.training.pictures.data import LabelledPictures, to_tensor
from datasites.training.pictures.reports import to_inputs
from policies.plans.training import ModelSpec


def gradients(spec: ModelSpec, weights: Mapping[str, np.ndarray], pictures: LabelledPictures) -> np.ndarray:
    """Float64, (pictures, numbers): each picture's gradient over all parameters, one after the other.

    Args:
        spec: The model.
        weights: Its weights by name.
        pictures: Looked at as they are, unchanged.
    """
    model = build_model(spec)
    load_weights(model, weights)
    model.double().train()
    parameters = list(model.parameters())
    rows = []
    for i in range(len(pictures.labels)):
        images = to_tensor(pictures.images[i : i + 1]).double()
        texts = None if pictures.texts is None else pictures.texts[i : i + 1]
        logits = model(to_inputs(images, texts))
        found = torch.autograd.grad(_loss(logits[0], pictures.labels[i]), parameters)
        rows.append(torch.cat([g.flatten() for g in found]).numpy())
    return np.stack(rows)


def _loss(logits: torch.Tensor, label: np.ndarray) -> torch.Tensor:
    """Minus the log of the probability of what is: of the class, or of each finding that is known, over K of them."""
    if label.ndim == 0:
        return -torch.log_softmax(logits, dim=0)[int(label)]
    signs = [2 * int(value) - 1 if value >= 0 else 0 for value in label]
    told = [-F.logsigmoid(sign * logit) for sign, logit in zip(signs, logits, strict=True) if sign]
    return torch.stack(told).sum() / len(label) if told else 0 * logits.sum()


def clipped(rows: np.ndarray, max_grad_norm: float) -> np.ndarray:
    """Each row, (pictures, numbers), clipped to `max_grad_norm` less the engines' margin."""
    bound = max_grad_norm * (1 - CLIP_MARGIN)
    out: np.ndarray = rows * (bound / np.maximum(np.linalg.norm(rows, axis=1), bound))[:, None]
    return out
