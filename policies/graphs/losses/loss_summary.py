"""A loss in short, for people who decide on it: what it computes line by line, and what that costs. Public."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from policies.graphs.graph import Constant
from policies.graphs.losses.loss_proof import LossProof
from policies.graphs.losses.own_loss import check_loss
from policies.plans.kinds import Plan
from policies.plans.plan_json import canonical_json

MOST_LINES = 60
_MOST_NUMBERS = 25
_KINDS = {"float32": "<f", "int64": "<q", "bool": "<?"}
_CONSTANT, _NODE = "constant:", "node:"


@dataclass(frozen=True)
class LossSummary:
    """A loss in numbers.

    Attributes:
        operators: How many are carried out.
        multiplications: For one picture, forward.
        kinds: Operator → how often it is carried out, by name.
        lines: What it computes, a line for each constant and each node, at most `MOST_LINES`.
        further: How many lines more there are.
    """

    operators: int
    multiplications: int
    kinds: Mapping[str, int]
    lines: tuple[str, ...] = ()
    further: int = 0


def summary_of_loss(proof: LossProof) -> LossSummary:
    """Returns what a proved loss is made of. Everything follows from the proof; nothing from what its author says."""
    kinds = dict(sorted(Counter(node.operator for node in proof.nodes).items()))
    lines = lines_of(proof)
    further = max(0, len(lines) - MOST_LINES)
    return LossSummary(len(proof.nodes), proof.multiplications, kinds, lines[:MOST_LINES], further)


def lines_of(proof: LossProof) -> tuple[str, ...]:
    """What a proved loss computes: `c1 = ...` is a constant, `v3 = multiply(v1, label)` a node, the last line the loss.

    A longer constant shows its first numbers, and how many it has.
    """
    loss = proof.loss
    names: dict[str, str] = {}
    for node in loss.nodes:
        for given in node.inputs:
            if given.startswith(_CONSTANT):
                names.setdefault(given.removeprefix(_CONSTANT), f"c{len(names) + 1}")
    lines = [f"{name} = {_spelled(loss.constants[digest])}" for digest, name in names.items()]
    for number, node in enumerate(loss.nodes, start=1):
        names_given = [_name(one, names) for one in node.inputs]
        settings = [f"{name}={canonical_json(value)}" for name, value in sorted(node.attributes.items())]
        lines.append(f"v{number} = {node.operator}({', '.join((*names_given, *settings))})")
    return tuple(lines)


def _name(given: str, constants: Mapping[str, str]) -> str:
    """How a line names what a node is given: nodes are counted from 1."""
    if given.startswith(_CONSTANT):
        return constants[given.removeprefix(_CONSTANT)]
    return f"v{int(given.removeprefix(_NODE)) + 1}" if given.startswith(_NODE) else given


def _spelled(constant: Constant) -> str:
    size = len(constant.data) // struct.calcsize(_KINDS[constant.kind])
    first = constant.data[: _MOST_NUMBERS * struct.calcsize(_KINDS[constant.kind])]
    numbers = (number for (number,) in struct.iter_unpack(_KINDS[constant.kind], first))
    told = ", ".join(f"{number:g}" if constant.kind == "float32" else str(number) for number in numbers)
    more = f", ... ({size:,} numbers)" if size > _MOST_NUMBERS else ""
    return f"{constant.kind} {list(constant.shape)}: {told}{more}"


def own_loss_of(plan: Plan) -> LossSummary | None:
    """What the own loss of a plan is made of, proved here and now; None where its loss is built in, or it has none.

    Raises:
        GraphError: As `check_loss`.
    """
    proof = check_loss(plan)
    return None if proof is None else summary_of_loss(proof)
