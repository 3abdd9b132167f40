"""An own loss, interpreted: its nodes are carried out in order by our own functions, and its rows are added up.

No row of it is ever looked at: what is not finite stays in its own row, where the engine's rule for gradients that are
not finite takes it.
"""

from __future__ import annotations

import torch

from datasites.training.graphs.functions import carried_out, tensor_of
from policies.errors import PlanError
from policies.graphs.losses.loss_graph import KNOWN, LABEL, OUTPUT
from policies.graphs.losses.loss_proof import LossProof


class OwnLoss:
    """The sum of the losses of rows, as the graph of a loss tells each.

    Guarantees:
        It carries out the nodes of `proof` and nothing else, each by a function of `functions`. A row's gradient
        depends on its own logits and labels alone.

    Args:
        proof: Of the loss, as `prove_loss` returned it.
    """

    def __init__(self, proof: LossProof) -> None:
        self._nodes, self._loss = proof.nodes, proof.loss
        self._constants = {f"constant:{name}": tensor_of(one) for name, one in proof.loss.constants.items()}
        self._placed: dict[tuple[torch.device, torch.dtype], dict[str, torch.Tensor]] = {}

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the sum of the rows' losses, of shape (), of logits, (rows, K), and labels, as `rows` takes both."""
        return self.rows(logits, labels).sum()

    def rows(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns each row's loss, (rows,), in float32, or in float64 where logits are.

        Args:
            logits: Real, (rows, K).
            labels: int64, (rows,), classes; or int8, (rows, K), 0 or 1 for each finding, -1 where it is unknown.

        Raises:
            PlanError: The loss is for another number of classes, or another kind of labels.
        """
        self._check(logits, labels)
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits if logits.dtype == torch.float64 else logits.float()
            found = {OUTPUT: logits, **_told(labels, logits)} | self._on(logits.device, logits.dtype)
            for number, node in enumerate(self._nodes):
                inputs = [found[name] for name in node.inputs]
                rows = 1 if node.value.batch is None else len(logits)
                found[f"node:{number}"] = carried_out(node, inputs, rows)
            return found[f"node:{len(self._nodes) - 1}"]

    def _check(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        kind = "single" if labels.dim() == 1 else "multi"
        if (logits.shape[1:], kind) != ((self._loss.num_classes,), self._loss.label_kind):
            raise PlanError(
                f"The own loss is for {self._loss.num_classes} outputs and labels of kind '{self._loss.label_kind}', "
                f"the model gives outputs of shape {tuple(logits.shape[1:])} and the labels' kind is '{kind}'. Capture "
                "the loss for the dataset's schema."
            )

    def _on(self, device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """The constants, brought there once: a recorded step copies nothing."""
        if (device, dtype) not in self._placed:
            self._placed[device, dtype] = {
                name: one.to(device, dtype if one.is_floating_point() else one.dtype)
                for name, one in self._constants.items()
            }
        return self._placed[device, dtype]


def _told(labels: torch.Tensor, logits: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the loss reads of labels, each (rows, K)."""
    if labels.dim() == 1:
        classes = torch.arange(logits.shape[1], device=labels.device)
        return {LABEL: (labels[:, None] == classes).to(logits.dtype)}
    return {LABEL: (labels > 0).to(logits.dtype), KNOWN: (labels >= 0).to(logits.dtype)}
