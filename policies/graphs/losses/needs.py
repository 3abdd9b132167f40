"""Needs of a plan's own graphs: operators that an older hospital does not know. Told before anything is submitted."""

from __future__ import annotations

from policies.errors import VersionMismatch
from policies.graphs.losses.own_loss import check_loss
from policies.graphs.own_model import check_graph
from policies.plans.kinds import Plan
from policies.versions.releases import Minor, Release, told

_OPERATORS: dict[str, Minor] = dict.fromkeys(
    ("at_least", "choose", "cosine", "equal", "error_function", "floor", "greater", "sine", "without_gradient"), (0, 3)
)


def check_operators(plan: Plan, release: Release, datasite: str) -> None:
    """Returns if a hospital of that release knows every operator of the graphs that a plan carries.

    Args:
        plan: Of any kind; one without an own model or loss needs none.
        release: The hospital's.
        datasite: Its name, for people.

    Raises:
        VersionMismatch: Names the datasite, both releases and an operator that asks for the later one.
        GraphError: A graph does not read, or cannot be proved.
    """
    if all(release.minor_version >= minor for minor in _OPERATORS.values()):
        return
    proofs = [proof for proof in (check_graph(plan), check_loss(plan)) if proof is not None]
    for name in sorted({node.operator for proof in proofs for node in proof.nodes}):
        minor = _OPERATORS.get(name)
        if minor is not None and minor > release.minor_version:
            raise VersionMismatch(
                f"Datasite '{datasite}' runs Wanwu {release}, and the plan's own graph needs {told(minor)}: the "
                f"operator {name}. Nothing was submitted there. Ask the hospital to update to Wanwu {told(minor)}, or "
                "capture the network without what it is made of."
            )
