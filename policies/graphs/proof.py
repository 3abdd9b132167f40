"""The proof that a graph keeps the pictures of a batch apart, and what it costs: from the graph alone, without torch.

Each value gets its shape, by our own rules and for every batch size at once, and the axis on which the pictures lie,
or that it has none. Each operator's rule says where they lie afterwards or refuses. No operator gives a shape or the
batch size as a number, none draws random numbers, none writes into a value. So a picture's logits are a function of
that picture, the parameters and the constants: what clipping picture by picture needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from policies.errors import GraphError
from policies.graphs.costs import Costs
from policies.graphs.graph import PICTURES, Constant, Graph, Node
from policies.graphs.limits import LIMITS, GraphLimits
from policies.graphs.operator import Attributes, Operator
from policies.graphs.operators import OPERATORS
from policies.graphs.values import Refusal, Value, check_size, spelled
from policies.untrusted_text import shown

_PARAMETER = "parameter:"


@dataclass(frozen=True)
class ProvedNode:
    """A node whose rule holds.

    Attributes:
        operator: Its name.
        inputs: As the graph has them.
        attributes: Checked, by name.
        value: What it gives.
        copied: Places of the inputs that are trained, the same for all pictures, and meet them here: the engine makes
            a copy for each picture, whose gradient is that picture's.
        multiplications: For one picture, forward.
    """

    operator: str
    inputs: tuple[str, ...]
    attributes: Attributes
    value: Value
    copied: tuple[int, ...]
    multiplications: int

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters among its inputs, in order, each once."""
        named = (name for name in dict.fromkeys(self.inputs) if name.startswith(_PARAMETER))
        return tuple(name.removeprefix(_PARAMETER) for name in named)


@dataclass(frozen=True)
class Proof:
    """A graph whose pictures stay apart, and its cost.

    Attributes:
        graph: The graph.
        nodes: Its nodes with what is known of each.
        multiplications: For one picture, forward.
        activation_numbers: Numbers that all nodes make for one picture, copies of parameters and scores of keys too.
        parameter_numbers: Numbers of all trained parameters.
    """

    graph: Graph
    nodes: tuple[ProvedNode, ...]
    multiplications: int
    activation_numbers: int
    parameter_numbers: int


@dataclass(frozen=True)
class Walk:
    """Nodes whose rules hold, and what they cost together.

    Attributes:
        nodes: In order.
        unused: What was known or made and is read by no node; the last node does not count.
        multiplications: For one picture, forward.
        activation_numbers: Numbers that all nodes make for one picture, copies of parameters and scores of keys too.
    """

    nodes: tuple[ProvedNode, ...]
    unused: frozenset[str]
    multiplications: int
    activation_numbers: int


def prove(graph: Graph, limits: GraphLimits = LIMITS) -> Proof:
    """Proves that each picture's logits depend on that picture alone, or says where they would not.

    Guarantees:
        If it returns, every operator is one of `OPERATORS`, its rule held for every batch size, all shapes are as
        computed here, the logits have a gradient of every parameter, and all costs are within `limits`.

    Args:
        graph: As `read_graph` returned it.
        limits: How much it may cost.

    Raises:
        GraphError: Which node is refused, where its author wrote it, why, and what to do instead.
    """
    known = _beginnings(graph)
    walked = walk(graph.nodes, known, limits)
    _check_end(graph, walked.nodes[-1].value, walked.unused - {PICTURES})
    _check_gradients(graph)
    weights = sum(known[_PARAMETER + name].numbers for name in graph.parameters)
    return Proof(graph, walked.nodes, walked.multiplications, walked.activation_numbers, weights)


def walk(nodes: Sequence[Node], known: Mapping[str, Value], limits: GraphLimits) -> Walk:
    """Proves nodes in their order.

    Guarantees:
        If it returns, every operator is one of `OPERATORS`, its rule held for every batch size, and all costs are
        within `limits`.

    Args:
        nodes: One at least.
        known: What they may read besides each other.
        limits: How much they may cost.

    Raises:
        GraphError: Which node is refused, where its author wrote it, why, and what to do instead.
    """
    values, unused = dict(known), set(known)
    found: list[ProvedNode] = []
    costs = Costs(limits)
    for number, node in enumerate(nodes):
        try:
            proved = _proved(number, node, values, limits)
        except Refusal as refusal:
            raise GraphError(f"{_place(number, node)} is refused: {refusal}.") from refusal
        unused -= set(node.inputs)
        values[f"node:{number}"] = proved.value
        unused.add(f"node:{number}")
        found.append(proved)
        inputs, operator = tuple(values[name] for name in node.inputs), OPERATORS[node.operator]
        numbers = proved.value.numbers + operator.between(inputs, proved.attributes, proved.value)
        numbers += sum(inputs[place].numbers for place in proved.copied)
        costs.add(node.inputs, proved.value, proved.multiplications, numbers, _place(number, node))
    unused.discard(f"node:{len(found) - 1}")
    return Walk(tuple(found), frozenset(unused), costs.multiplications, costs.numbers)


def _beginnings(graph: Graph) -> dict[str, Value]:
    """What is known before the first node: pictures, parameters, constants."""
    height, width, channels = graph.image_shape
    known = {PICTURES: Value((1, channels, height, width), batch=0)}
    known |= {_PARAMETER + name: Value(shape, trained=True) for name, shape in graph.parameters.items()}
    return known | known_constants(graph.constants)


def with_gradient(nodes: Sequence[Node]) -> frozenset[str]:
    """Names of what the last node has a gradient of, itself included: comparisons pass none on.

    Args:
        nodes: One at least, each of an operator of `OPERATORS`, reading what stands before it alone.
    """
    found = {f"node:{len(nodes) - 1}"}
    for number in reversed(range(len(nodes))):
        if f"node:{number}" in found:
            flat = OPERATORS[nodes[number].operator].flat
            found.update(name for place, name in enumerate(nodes[number].inputs) if place not in flat)
    return frozenset(found)


def known_constants(constants: Mapping[str, Constant]) -> dict[str, Value]:
    """What is known of constants, by the names that nodes read them by."""
    return {f"constant:{name}": Value(one.shape, kind=one.kind, ends=_ends(one)) for name, one in constants.items()}


def _proved(number: int, node: Node, known: Mapping[str, Value], limits: GraphLimits) -> ProvedNode:
    operator = OPERATORS.get(node.operator)
    if operator is None:
        raise Refusal(
            f"{shown(node.operator, most=64)!r} is no operator of a graph. docs/ref-graph-operators.md lists "
            "those that are"
        )
    if not operator.inputs[0] <= len(node.inputs) <= operator.inputs[1]:
        raise Refusal(f"it takes {operator.inputs[0]} to {operator.inputs[1]} inputs, and was given {len(node.inputs)}")
    for name in node.inputs:
        if name not in known:
            raise Refusal(
                f"its input {shown(name, most=80)!r} is neither the pictures, nor a parameter or constant of the "
                "graph, nor an earlier node"
            )
    inputs = tuple(known[name] for name in node.inputs)
    attributes = _attributes(number, node, operator)
    value = operator.rule(inputs, attributes)
    check_size(value, limits.activation_numbers)
    copied = tuple(
        place
        for place, one in enumerate(inputs)
        if value.batch is not None and one.batch is None and one.trained and place not in operator.shared
    )
    cost = operator.multiplications(inputs, attributes, value)
    return ProvedNode(node.operator, node.inputs, attributes, value, copied, cost)


def _attributes(number: int, node: Node, operator: Operator) -> Attributes:
    if wrong := sorted(set(node.attributes) ^ set(operator.attributes)):
        kind = "lacks the attribute" if wrong[0] in operator.attributes else "has an unknown attribute,"
        raise Refusal(f"it {kind} {shown(wrong[0], most=60)!r}; it takes {', '.join(operator.attributes) or 'none'}")
    return {
        name: one.check(f"node {number} {node.operator}.{name}", node.attributes[name])
        for name, one in operator.attributes.items()
    }


def _check_end(graph: Graph, logits: Value, unused: AbstractSet[str]) -> None:
    if logits.batch != 0 or logits.shape != (1, graph.num_classes):
        raise GraphError(
            f"The last node must give logits of shape (B, {graph.num_classes}), and gives {spelled(logits)}. Give the "
            "network's last layer as many outputs as there are classes, and capture it again."
        )
    if left := sorted(unused):
        raise GraphError(f"{shown(left[0], most=120)} is not used. A graph holds only what its logits are made of.")
    if not graph.parameters:
        raise GraphError("The graph has no trained parameter, so there is nothing to train.")


def _check_gradients(graph: Graph) -> None:
    reached = with_gradient(graph.nodes)
    if still := [name for name in graph.parameters if _PARAMETER + name not in reached]:
        raise GraphError(
            f"Parameter {shown(still[0], most=120)!r} is only compared with, which has no gradient, or its gradient is "
            "stopped, so nothing would train it. Make it a constant, with requires_grad=False, and capture the network "
            "again."
        )


def _place(number: int, node: Node) -> str:
    """A node as people find it: its number, operator, and where its author wrote it."""
    written = f", written at {shown(node.source, most=200)}," if node.source else ""
    return f"Node {number} ({shown(node.operator, most=64)}){written}"


def _ends(constant: Constant) -> tuple[int, int] | None:
    if constant.kind != "int64":
        return None
    numbers = memoryview(constant.data).cast("q")
    return min(numbers), max(numbers)
