"""A loss in short, for people who decide on it: its operators, and what they cost. Public."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from policies.graphs.losses.loss_proof import LossProof
from policies.graphs.losses.own_loss import check_loss
from policies.plans.kinds import Plan


@dataclass(frozen=True)
class LossSummary:
    """A loss in numbers.

    Attributes:
        operators: How many are carried out.
        multiplications: For one picture, forward.
        kinds: Operator → how often it is carried out, by name.
    """

    operators: int
    multiplications: int
    kinds: Mapping[str, int]


def summary_of_loss(proof: LossProof) -> LossSummary:
    """Returns what a proved loss is made of. Everything follows from the proof; nothing from what its author says."""
    kinds = dict(sorted(Counter(node.operator for node in proof.nodes).items()))
    return LossSummary(len(proof.nodes), proof.multiplications, kinds)


def own_loss_of(plan: Plan) -> LossSummary | None:
    """What the own loss of a plan is made of, proved here and now; None where its loss is built in, or it has none.

    Raises:
        GraphError: As `check_loss`.
    """
    proof = check_loss(plan)
    return None if proof is None else summary_of_loss(proof)
