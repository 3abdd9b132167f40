"""The own model of a plan: its graph is unpacked, read and proved, at arrival and again before each run."""

from __future__ import annotations

from policies.errors import GraphError
from policies.graphs.limits import LIMITS, GraphLimits
from policies.graphs.proof import Proof, prove
from policies.graphs.reading import read_graph
from policies.plans.graph.packed_graph import pack, unpack
from policies.plans.kinds import Plan
from policies.plans.model_spec import GRAPH_MODEL, ModelSpec
from policies.plans.releases import StatisticsPlan


def spec_of(text: str, *, label_kind: str = "single") -> ModelSpec:
    """Returns the model that a graph's text describes, as a plan carries it.

    Args:
        text: What `Graph.to_json` wrote.
        label_kind: What the outputs mean, as the dataset's schema says.

    Raises:
        GraphError: It is no graph, cannot be proved, or is too long for a plan.
    """
    graph = prove(read_graph(text)).graph
    return ModelSpec(GRAPH_MODEL, graph.image_shape, graph.num_classes, label_kind=label_kind, graph=pack(text))


def proof_of(model: ModelSpec, limits: GraphLimits = LIMITS) -> Proof:
    """Returns the proof of an own model's graph.

    Guarantees:
        If it returns, the graph is one that keeps the pictures of a batch apart (see `proof.prove`), for pictures and
        classes as the plan says. Nothing is remembered: each call reads and proves anew.

    Args:
        model: The plan's model, which is an own one.
        limits: How large the graph may be.

    Raises:
        GraphError: It does not read, cannot be proved, or is for other pictures or classes than the plan.
    """
    proof = prove(read_graph(unpack(model.graph), limits), limits)
    graph = proof.graph
    if (graph.image_shape, graph.num_classes) != (model.image_shape, model.num_classes):
        raise GraphError(
            f"The graph takes pictures of {graph.image_shape} and tells {graph.num_classes} classes, the plan says "
            f"{model.image_shape} and {model.num_classes}. Capture the model for the dataset's schema."
        )
    return proof


def check_graph(plan: Plan) -> Proof | None:
    """Returns the proof of the graph that a plan carries; None where its model is built in, or it has none.

    Guarantees:
        As `proof_of`.

    Raises:
        GraphError: As `proof_of`.
    """
    if isinstance(plan, StatisticsPlan) or not plan.model.is_own:
        return None
    return proof_of(plan.model)
