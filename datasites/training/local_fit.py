"""A local part fitted to public pictures, on the researcher's side: no hospital's local part comes into it.

A plan's strategy may keep a part of the model at each hospital. What all share is then no whole model; this gives it
what it lacks, from pictures that anybody may read. Without noise: it must never be given private pictures.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch

from datasites.training.losses import loss_of
from datasites.training.models import build_model, load_weights, read_weights
from datasites.training.pictures.data import to_tensor
from datasites.training.pictures.reports import to_inputs
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.training import ModelSpec

MOST_PICTURES, PASSES = 512, 10
_BATCH, _LEARNING_RATE, _SEED = 64, 0.01, 0


def fit_local_part(
    spec: ModelSpec,
    objective: ObjectiveSpec,
    weights: Mapping[str, np.ndarray],
    stays: Collection[str],
    images: np.ndarray | tuple[np.ndarray, np.ndarray],
    labels: np.ndarray,
) -> dict[str, np.ndarray]:
    """Returns the whole model with its local part fitted to public pictures: ten passes of Adam, the rest left alone.

    The same arguments give the same weights, but for what a processor rounds differently with other threads.

    Args:
        spec: The model.
        objective: What the study lowers, and the fit too.
        weights: Name → float32 array of each parameter; the fit starts from them.
        stays: Names of the parameters that are fitted.
        images: Public pictures as `Predictor` takes them, (N, H, W, C), with tokens, (N, length), where the model
            takes reports; of more than `MOST_PICTURES`, as many at equal distances.
        labels: int64, (N,), classes; or int8, (N, K), findings.

    Returns:
        Name → float32 array of its parameter's shape.

    Raises:
        PlanError: The model does not exist.
        InputRefused: The weights are not the model's.
    """
    images, texts = images if isinstance(images, tuple) else (images, None)
    chosen = np.unique(np.linspace(0, len(labels) - 1, MOST_PICTURES).astype(np.int64))
    model = build_model(spec)
    load_weights(model, weights)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in stays)
    optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=_LEARNING_RATE)
    loss, order = loss_of(objective), np.random.default_rng(_SEED)
    for _ in range(PASSES):
        drawn = order.permutation(chosen)
        for start in range(0, drawn.size, _BATCH):
            rows = np.sort(drawn[start : start + _BATCH])
            optimizer.zero_grad()
            inputs = to_inputs(to_tensor(images[rows]), None if texts is None else texts[rows])
            (loss(model(inputs), torch.from_numpy(labels[rows])) / rows.size).backward()
            optimizer.step()
    return read_weights(model)
