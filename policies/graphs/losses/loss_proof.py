"""The proof that a loss is made picture by picture: from its graph alone, by the rules of own models, without torch.

A loss reads the logits and the label of each picture, on one axis of pictures, and gives one number for each picture on
that same axis. By the operators' rules each of these numbers depends on its own picture's logits and label alone; the
platform adds them up. So whatever the loss, a picture's gradient stays its own, and clipping bounds it.
"""

from __future__ import annotations

from dataclasses import dataclass

from policies.errors import GraphError
from policies.graphs.limits import GraphLimits
from policies.graphs.losses.loss_graph import INPUTS, LOSS_LIMITS, OUTPUT, LossGraph
from policies.graphs.proof import ProvedNode, known_constants, walk, with_gradient
from policies.graphs.values import Value, spelled
from policies.untrusted_text import shown


@dataclass(frozen=True)
class LossProof:
    """A loss that is made picture by picture, and its cost.

    Attributes:
        loss: The loss.
        nodes: Its nodes with what is known of each.
        multiplications: For one picture, forward.
        activation_numbers: Numbers that all nodes make for one picture.
    """

    loss: LossGraph
    nodes: tuple[ProvedNode, ...]
    multiplications: int
    activation_numbers: int


def prove_loss(loss: LossGraph, limits: GraphLimits = LOSS_LIMITS) -> LossProof:
    """Proves that each picture's loss depends on its own logits and label alone, or says where it would not.

    Guarantees:
        If it returns, every operator is one of `OPERATORS`, its rule held for every batch size, all costs are within
        `limits`, nothing is trained in it, and its last node gives a number for each picture that is computed from
        that picture's logits, and has a gradient of them.

    Args:
        loss: As `read_loss` returned it.
        limits: How much it may cost.

    Raises:
        GraphError: Which node is refused, where its author wrote it, why, and what to do instead.
    """
    rows = Value((1, loss.num_classes), batch=0)
    known = dict.fromkeys(INPUTS[loss.label_kind], rows)
    walked = walk(loss.nodes, known | known_constants(loss.constants), limits)
    made = walked.nodes[-1].value
    if made.batch != 0 or made.shape != (1,):
        raise GraphError(
            f"The last node of a loss must give a number for each picture, of shape (B,), and gives {spelled(made)}. "
            "Sum or average over the classes, and leave the pictures apart: the platform adds them up."
        )
    if left := sorted(walked.unused):
        raise GraphError(
            f"{shown(left[0], most=120)} is not used in the loss. A loss is made of a picture's outputs and label, of "
            "findings also of which are known, and of nothing else."
        )
    if OUTPUT not in with_gradient(loss.nodes):
        raise GraphError(
            "The loss only compares the outputs, which has no gradient, or stops it, so nothing would be trained by "
            "it. Make it of the outputs themselves, and of comparisons only what chooses or weighs."
        )
    return LossProof(loss, walked.nodes, walked.multiplications, walked.activation_numbers)
