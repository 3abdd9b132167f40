"""The built-in model that an own one is like, by the layers that both have in the same order. Public; without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from policies.graphs.overview.layers import FoundLayer, layers_in
from policies.graphs.proof import Proof

_CONSTANT = "constant:"
LAYERS_FILE = Path(__file__).with_name("built_in_layers.json")


@dataclass(frozen=True)
class Nearest:
    """A built-in model beside an own one.

    Attributes:
        name: Of the built-in model.
        common: Layers that stand in both in the same order: the same operator on trained numbers of the same shapes.
        own: Layers of the own model.
        built_in: Layers of the built-in model.
    """

    name: str
    common: int
    own: int
    built_in: int

    @property
    def likeness(self) -> float:
        """Twice the common layers over the layers of both, from 0 to 1 (Dice, Ecology 1945)."""
        return 2 * self.common / (self.own + self.built_in)


def layers_of(proof: Proof) -> tuple[str, ...]:
    """Returns each layer of a proved graph as a word: its operator, and the shapes of its trained numbers, in order."""
    return tuple(_word(one, proof) for one in layers_in(proof))


def layers_with_settings(proof: Proof) -> tuple[str, ...]:
    """As `layers_of`, with each operator's settings, as a stride, and the constants that it is given."""
    return tuple(
        f"{_word(one, proof)} {sorted(one.node.attributes.items())} {[*filter(_is_constant, one.node.inputs)]}"
        for one in layers_in(proof)
    )


def _word(layer: FoundLayer, proof: Proof) -> str:
    shapes = proof.graph.parameters
    return " ".join((layer.node.operator, *("x".join(map(str, shapes[name])) for name in layer.parameters)))


def _is_constant(name: str) -> bool:
    return name.startswith(_CONSTANT)


def nearest(proof: Proof) -> Nearest | None:
    """Returns the built-in model that most of an own model's layers stand in; None where no layer is of any.

    The built-in models are as their names alone make them, for pictures of three channels and nine classes: a first
    layer of other channels and a last one of other classes count as different layers.

    Args:
        proof: Of the own model's graph.
    """
    own = layers_of(proof)
    compared = [Nearest(name, common_layers(own, other), len(own), len(other)) for name, other in _built_in().items()]
    best = max(compared, key=lambda one: (one.likeness, one.name))
    return best if best.common else None


@cache
def _built_in() -> Mapping[str, tuple[str, ...]]:
    """Layers of the built-in models that have convolutions or an attention."""
    return {name: tuple(layers) for name, layers in json.loads(LAYERS_FILE.read_text()).items()}


def common_layers(one: Sequence[str], other: Sequence[str]) -> int:
    """Returns the length of the longest sequence that is in both, with gaps.

    Each place of `other` is a bit of one number (Hyyrö, "Bit-parallel LCS-length computation revisited", AWOCA 2004).

    Args:
        one: Words.
        other: Words.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(other):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(other)) - 1
    left = every
    for word in one:
        taken = left & places.get(word, 0)
        left = ((left + taken) | (left - taken)) & every
    return len(other) - left.bit_count()
