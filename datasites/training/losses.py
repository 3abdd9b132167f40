"""The meaning of a model's outputs: the loss that training lowers, and probabilities. None of it leaves by itself.

The one place where the kinds of labels differ in training. Classes exclude each other: cross-entropy. Findings do not:
binary cross-entropy of each, over those that are known. Grades are classes in an order: see `_Ordinal`. An own loss is
a graph that was proved. Whichever a plan names, a row's loss is made of its own logits and label, and rows are added
up, never averaged over a batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812

from datasites.training.graphs import OwnLoss
from policies.graphs.losses.own_loss import loss_proof_of
from policies.plans.objective.objective_spec import ObjectiveSpec

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""The sum of the losses of rows: of logits, (rows, K), and labels, as `summed_loss` takes both."""


def summed_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Returns the sum of the rows' losses.

    A row's loss of K findings is the sum over those that are known, divided by K, not by how many are known. So a known
    label weighs the same whatever else is known of its picture, and a picture of which less is known says less; and
    where nothing is known, the gradient is exact zeros without a division. With all known it is the mean, as torch
    takes it.

    Guarantees:
        A row's gradient depends on its own logits and labels alone. An unknown finding adds nothing to it.

    Args:
        logits: Real, (rows, K).
        labels: int64, (rows,), classes; or int8, (rows, K), 0 or 1 for each finding, -1 where it is unknown.
    """
    logits = logits.float()
    if labels.dim() == 1:
        return F.cross_entropy(logits, labels, reduction="sum")
    known = (labels >= 0).to(logits.dtype)
    present = (labels > 0).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, present, weight=known, reduction="sum") / labels.shape[1]


def loss_of(spec: ObjectiveSpec) -> Loss:
    """Returns the loss that a plan names.

    Guarantees:
        A row's gradient depends on its own logits and labels alone. An own loss was read and proved here and now.

    Args:
        spec: The plan's.

    Raises:
        GraphError: An own loss does not read, or cannot be proved.
    """
    if spec.is_own:
        return OwnLoss(loss_proof_of(spec))
    if spec == ObjectiveSpec():
        return summed_loss
    if spec.loss == "ordinal":
        return _Ordinal(spec.class_weights)
    if spec.present_weights:
        return _WeightedFindings(spec.present_weights)
    return _WeightedClasses(spec.class_weights, spec.label_smoothing)


class _Weights:
    """Numbers of a plan as a tensor, made once for each device: a recorded step copies nothing there."""

    def __init__(self, numbers: tuple[float, ...]) -> None:
        self._numbers = numbers
        self._made: dict[torch.device, torch.Tensor] = {}

    def on(self, device: torch.device) -> torch.Tensor | None:
        """The numbers, float32, (K,); None where the plan gives none."""
        if self._numbers and device not in self._made:
            self._made[device] = torch.tensor(self._numbers, dtype=torch.float32, device=device)
        return self._made.get(device)


class _WeightedClasses:
    """Cross-entropy with a weight for each class, of a label of which a share is spread over all of them.

    With weights w, probabilities p and share s the loss of class y is -(1 - s) w_y log p_y - s / K sum_k w_k log p_k,
    as torch takes it (Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016).
    """

    def __init__(self, weights: tuple[float, ...], smoothing: float) -> None:
        self._weights, self._smoothing = _Weights(weights), smoothing

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        weights = self._weights.on(logits.device)
        return F.cross_entropy(logits.float(), labels, weight=weights, reduction="sum", label_smoothing=self._smoothing)


class _WeightedFindings:
    """`summed_loss` of findings, in which a present one counts as the plan says and an absent one counts 1."""

    def __init__(self, weights: tuple[float, ...]) -> None:
        self._weights = _Weights(weights)

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        known, present = (labels >= 0).float(), (labels > 0).float()
        weights = self._weights.on(logits.device)
        told = F.binary_cross_entropy_with_logits(
            logits.float(), present, weight=known, pos_weight=weights, reduction="sum"
        )
        return told / labels.shape[1]


class _Ordinal:
    """The mean binary cross-entropy of the K - 1 questions whether a picture's grade is above the k-th.

    These are the questions of Frank and Hall ("A Simple Approach to Ordinal Classification", ECML 2001) and of CORAL
    (Cao, Mirjalili and Raschka, Pattern Recognition Letters 2020). Their answers are taken from one softmax over the K
    grades, P(grade > k) = sum of the probabilities above k, so they never contradict each other, and the model's
    outputs keep their meaning: K logits whose softmax is the probability of each grade. With two grades it is
    cross-entropy.
    """

    def __init__(self, weights: tuple[float, ...]) -> None:
        self._weights = _Weights(weights)

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits, grades = logits.float(), logits.shape[1]
        at_most = torch.ones(grades - 1, grades, dtype=torch.bool, device=logits.device).tril()
        above = labels[:, None] > torch.arange(grades - 1, device=logits.device)
        side = torch.where(above[:, :, None], ~at_most, at_most)  # (rows, K - 1, K): the grades of the true answer
        told = logits[:, None, :].masked_fill(~side, -torch.inf).logsumexp(dim=2)
        losses = (logits.logsumexp(dim=1, keepdim=True) - told).mean(dim=1)
        weights = self._weights.on(logits.device)
        return (losses if weights is None else losses * weights[labels]).sum()


def probabilities(logits: torch.Tensor, label_kind: str) -> torch.Tensor:
    """Returns the probability of each class, each row adding up to 1; or of each finding by itself.

    Args:
        logits: float32, (rows, K).
        label_kind: Of the model's spec.

    Returns:
        float32, (rows, K).
    """
    return torch.sigmoid(logits) if label_kind == "multi" else torch.softmax(logits, dim=1)
