"""The room that an own model needs in a run, held against what the hospital gives one. Both numbers are public."""

from __future__ import annotations

from datasites.config import DatasiteConfig
from policies.errors import LimitExceeded
from policies.graphs.proof import Proof

_BYTES_OF_A_NUMBER = 4
_COPIES_OF_WEIGHTS = 3  # what came in, what is trained, a step's summed gradients


def check_room(proof: Proof, config: DatasiteConfig) -> None:
    """Refuses an own model whose weights or whose numbers for one picture have no place in a run.

    Args:
        proof: Of its graph.
        config: What the hospital gives one run.

    Raises:
        LimitExceeded: What it needs, what there is, and what to do.
    """
    weights = _BYTES_OF_A_NUMBER * proof.parameter_numbers
    if weights > config.max_update_bytes:
        raise LimitExceeded(
            f"The own model's weights have {weights:,} bytes; the hospital takes at most {config.max_update_bytes:,} "
            "(max_update_bytes). Capture a smaller model."
        )
    needed = _COPIES_OF_WEIGHTS * weights + _BYTES_OF_A_NUMBER * proof.activation_numbers
    if needed > config.memory_bytes_per_run:
        raise LimitExceeded(
            f"A step of the own model needs at least {needed:,} bytes for one picture; the hospital gives a run "
            f"{config.memory_bytes_per_run:,} (memory_bytes_per_run). Capture a smaller model, or for smaller pictures."
        )
