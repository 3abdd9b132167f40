"""The input contract: what may come in for a round is its ticket and weights, hostile until checked."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from policies.contracts import encodings
from policies.contracts.weights import Malformed, Shapes
from policies.errors import InputRefused
from policies.plans.training import MAX_ROUNDS, canonical_json
from policies.validate import Checks

MAX_TICKET_BYTES = 1024
MOST_TOGETHER_BYTES = 256 << 10
"""Of weights that come with their ticket, in one request; larger ones come before, and go on where a line broke."""
TOGETHER_SINCE = (0, 3)
"""The minor version of datasites that take them so, as of later ones."""
_checks = Checks(InputRefused)


@dataclass(frozen=True)
class Ticket:
    """What a researcher passes for one round; everything else is pinned in the approved plan.

    Attributes:
        round: From 0.
        weights: SHA-256 of the blob with the round's global weights.
    """

    round: int
    weights: str

    def __post_init__(self) -> None:
        _checks.integer("ticket.round", self.round, low=0, high=MAX_ROUNDS - 1)
        _checks.digest("ticket.weights", self.weights)

    def to_text(self) -> str:
        """Canonical JSON; equal tickets give equal text."""
        return canonical_json({"round": self.round, "weights": self.weights})

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads what `to_text` writes.

        Raises:
            InputRefused: Longer than `MAX_TICKET_BYTES`, not ASCII, not JSON, a missing, unknown or repeated
                field, or a value out of range.
        """
        if not isinstance(text, str) or not text.isascii() or len(text) > MAX_TICKET_BYTES:
            raise InputRefused(f"A ticket must be ASCII JSON text of at most {MAX_TICKET_BYTES} bytes.")
        try:
            pairs = json.loads(text, object_pairs_hook=tuple)
        except (ValueError, RecursionError) as error:
            raise InputRefused("A ticket must be JSON text as Ticket.to_text() writes it.") from error
        if not isinstance(pairs, tuple) or sorted(name for name, _ in pairs) != ["round", "weights"]:
            raise InputRefused("A ticket must hold exactly the fields 'round' and 'weights', each once.")
        return cls(**dict(pairs))


def check_weights_file(file: Path, expected: Shapes, encoding: str, *, max_bytes: int) -> None:
    """Refuses a file that is not exactly the declared weights, without ever holding it as a whole.

    Guarantees:
        What passes has the declared names and shapes, is float32 and finite, and came from at most `max_bytes`. Nothing
        of the file is executed or kept. What it decodes to is bounded by the declared shapes, whatever the file claims.

    Raises:
        InputRefused: Naming what was expected.
    """
    with _refusing():
        encodings.check_file(file, expected, encoding, max_bytes=max_bytes)


def decode_weights_file(file: Path, target: Path, expected: Shapes, encoding: str, *, max_bytes: int) -> None:
    """Writes the declared weights that `file` encodes to `target`, as canonical safetensors.

    Guarantees:
        As `check_weights_file`.

    Raises:
        InputRefused: Naming what was expected.
    """
    with _refusing(), target.open("xb") as stream:
        encodings.decode_file(file, expected, encoding, stream.write, max_bytes=max_bytes)


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except Malformed as error:
        raise InputRefused(f"The weights of this round are refused: {error}. Send the plan's parameters.") from error
