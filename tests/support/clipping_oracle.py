"""What clipped sums are, by definition: plain autograd on one picture at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from datasites.training.dp_sgd.engine_contract import CLIP_MARGIN


def of_findings(logits, labels):
    """Minus the log of the probability of each known finding of a picture, over the number of findings; of a mean."""
    probability = torch.sigmoid(logits)
    told = torch.where(labels == 1, probability, 1 - probability).log()
    return -torch.where(labels >= 0, told, 0.0).sum(dim=1).mean() / labels.shape[1]


def one_by_one(model, images, labels, bound, views=1, loss_of=F.cross_entropy):
    """The sum over pictures of the gradient of the mean loss over a picture's views, clipped, in float64."""
    return clipped(each_alone(model, images, labels, views, loss_of), bound)


def each_alone(model, images, labels, views=1, loss_of=F.cross_entropy):
    """Each picture's gradient of the mean loss over its views: a list of one tensor a trained parameter."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    everyone = []
    for i in range(len(labels)):
        rows = [i + view * len(labels) for view in range(views)]
        inputs = tuple(part[rows] for part in images) if isinstance(images, tuple) else images[rows]
        loss = loss_of(model(inputs), labels[[i] * views])
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        everyone.append([torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)])
    return everyone


def clipped(everyone, bound):
    """The sum of gradients, one at least, of which each is clipped alone, in float64."""
    sums = [torch.zeros_like(part, dtype=torch.float64) for part in everyone[0]]
    for gradients in everyone:
        norm = norm_of(gradients)
        factor = min(1.0, bound * (1 - CLIP_MARGIN) / norm) if norm else 1.0
        for total, gradient in zip(sums, gradients, strict=True):
            total += factor * gradient.double()
    return sums


def norm_of(sums):
    """L2 norm over all parameters together."""
    return torch.stack([s.double().norm() for s in sums]).norm().item()


def distance(first, second):
    """L2 distance over all parameters together."""
    return norm_of([a.double() - b.double() for a, b in zip(first, second, strict=True)])
