"""The own loss of a plan: its graph is unpacked, read and proved, at arrival and again before each run."""

from __future__ import annotations

from policies.errors import GraphError
from policies.graphs.losses.loss_graph import read_loss
from policies.graphs.losses.loss_proof import LossProof, prove_loss
from policies.plans.graph.packed_graph import LOSS, pack, unpack
from policies.plans.kinds import Plan
from policies.plans.objective.objective_spec import OWN_LOSS, ObjectiveSpec
from policies.plans.training import TrainingPlan


def objective_of(text: str) -> ObjectiveSpec:
    """Returns the objective that a loss's text describes, as a plan carries it.

    Args:
        text: What `LossGraph.to_json` wrote.

    Raises:
        GraphError: It is no loss, cannot be proved, or is too long for a plan.
    """
    prove_loss(read_loss(text))
    return ObjectiveSpec(OWN_LOSS, loss_graph=pack(text, LOSS))


def loss_proof_of(objective: ObjectiveSpec) -> LossProof:
    """Returns the proof of an own loss's graph.

    Guarantees:
        If it returns, the loss is one that is made picture by picture (see `prove_loss`). Nothing is remembered: each
        call reads and proves anew.

    Args:
        objective: The plan's, which is an own loss.

    Raises:
        GraphError: It does not read, or cannot be proved.
    """
    return prove_loss(read_loss(unpack(objective.loss_graph, LOSS)))


def check_loss(plan: Plan) -> LossProof | None:
    """Returns the proof of the loss that a plan carries; None where its loss is built in, or it has none.

    Guarantees:
        As `loss_proof_of`, and the loss is for outputs and labels as the plan says.

    Raises:
        GraphError: As `loss_proof_of`, or it is for another number of classes, or another kind of labels.
    """
    if not isinstance(plan, TrainingPlan) or not plan.objective.is_own:
        return None
    proof, model = loss_proof_of(plan.objective), plan.model
    loss = proof.loss
    if (loss.num_classes, loss.label_kind) != (model.num_classes, model.label_kind):
        raise GraphError(
            f"The own loss is for {loss.num_classes} classes and labels of kind '{loss.label_kind}', the plan says "
            f"{model.num_classes} and '{model.label_kind}'. Capture the loss for the dataset's schema."
        )
    return proof
