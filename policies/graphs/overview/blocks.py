"""Blocks of a graph, for people: it is cut wherever all that pictures become passes through one value. Public."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from policies.graphs.graph import PICTURES
from policies.graphs.proof import Proof, ProvedNode
from policies.graphs.values import spelled

_BEGIN = ("conv2d", "linear", "attention", "matmul", "mean", "adaptive_average_pool2d")
"""Operators that begin a block of their own where nothing branches."""
_TO = " … "
_COMPUTED = re.compile(r"\bparametrizations\.(\w+)\.original\d*$")
"""What torch calls the trained numbers that a weight is computed from."""


@dataclass(frozen=True)
class Block:
    """Operators between two values through which all of a picture passes.

    Attributes:
        name: The module that holds its parameters, or the first and the last, in the researcher's words; empty where it
            has none.
        kinds: Operator → how often it is carried out in it.
        makes: The shape of what it gives, B pictures.
        parameters: Trained numbers that it reads.
        multiplications: For one picture, forward.
        ways: How many of its operators read what comes in: 1 where nothing branches.
        times: How many such blocks follow each other; the other figures are of one of them.
    """

    name: str
    kinds: Mapping[str, int]
    makes: str
    parameters: int
    multiplications: int
    ways: int
    times: int = 1


def blocks_of(proof: Proof) -> tuple[Block, ...]:
    """Returns a proved graph's blocks in order; all of its nodes are in one of them.

    A block is a part that branches, or a layer with weights, and what follows it up to the next. Blocks that are alike
    and follow each other are one with its number of times.

    Args:
        proof: The graph and what is known of each node.
    """
    found: list[Block] = []
    ends: list[str] = []
    for begin, end in _ranges(proof.nodes):
        own = _own(proof.nodes[begin:end])
        block = _block(proof, begin, end, own)
        if found and _alike(found[-1]) == _alike(block):
            found[-1] = replace(found[-1], times=found[-1].times + 1)
        else:
            found.append(block)
            ends.append(_first_and_last(own))
    often = Counter(block.name for block in found)  # parts of one module are told apart, as in a Sequential
    named = zip(found, ends, strict=True)
    return tuple(replace(block, name=name) if name and often[block.name] > 1 else block for block, name in named)


def _ranges(nodes: Sequence[ProvedNode]) -> Iterator[tuple[int, int]]:
    """First and one past the last node of each block."""
    begin = start = 0
    for end in _ends(nodes):
        branches = sum(node.value.batch is not None for node in nodes[start:end]) > 1
        heavy = any(node.operator in _BEGIN for node in nodes[start:end])
        if (branches or heavy) and start > begin:
            yield begin, start
            begin = start
        start = end
    if begin < len(nodes):
        yield begin, len(nodes)


def _ends(nodes: Sequence[ProvedNode]) -> Iterator[int]:
    """One past each node whose value is all that is left of the pictures there."""
    last_read: dict[str, int] = {}
    for number, node in enumerate(nodes):
        last_read |= dict.fromkeys(node.inputs, number)
    furthest = last_read.get(PICTURES, 0)
    for number, node in enumerate(nodes):
        if node.value.batch is None:
            continue
        if furthest <= number:
            yield number + 1
        furthest = max(furthest, last_read.get(f"node:{number}", number))


def _own(nodes: Sequence[ProvedNode]) -> list[str]:
    """Names of the parameters that some nodes read, each once."""
    return list(dict.fromkeys(name for node in nodes for name in node.parameters))


def _block(proof: Proof, begin: int, end: int, own: Sequence[str]) -> Block:
    nodes, shapes = proof.nodes[begin:end], proof.graph.parameters
    before = (place for place in reversed(range(begin)) if proof.nodes[place].value.batch is not None)
    comes_in = next((f"node:{place}" for place in before), PICTURES)
    return Block(
        name=_named(own),
        kinds=dict(sorted(Counter(node.operator for node in nodes).items())),
        makes=spelled(nodes[-1].value),
        parameters=sum(math.prod(shapes[name]) for name in own),
        multiplications=sum(node.multiplications for node in nodes),
        ways=max(sum(comes_in in node.inputs for node in nodes), 1),
    )


def _named(names: Sequence[str]) -> str:
    first, _, last = _first_and_last(names).partition(_TO)
    if not last or first.split(".")[0] == last.split(".")[0]:
        return module_of(names)
    return f"{first}{_TO}{last}"


def _first_and_last(names: Sequence[str]) -> str:
    """The modules that hold the first and the last of some parameters; one where they are the same."""
    ends = [_COMPUTED.sub(r"\1", names[place]) for place in (0, -1)] if names else ["", ""]
    first, last = (name.rpartition(".")[0] or name for name in ends)
    return first if first == last else f"{first}{_TO}{last}"


def _alike(block: Block) -> tuple[object, ...]:
    return tuple(sorted(block.kinds.items())), block.makes, block.parameters, block.multiplications, block.ways


def module_of(names: Sequence[str]) -> str:
    """Returns the module that holds all of these parameters; the parameter itself where there is one alone.

    Args:
        names: Of parameters, as a graph has them; none gives an empty name.
    """
    names = [_COMPUTED.sub(r"\1", name) for name in names]
    if len(set(names)) == 1:
        return names[0].removesuffix(".weight")
    columns = zip(*(name.split(".")[:-1] for name in names), strict=False)
    shared = itertools.takewhile(lambda parts: len(set(parts)) == 1, columns)
    return ".".join(parts[0] for parts in shared) or (names[0] if names else "")
