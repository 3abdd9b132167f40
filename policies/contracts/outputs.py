"""The output contract: what may leave a run is the declared parameters and fields, and nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from policies.contracts import encodings
from policies.contracts.weights import Malformed, Shapes, canonical_bytes, check_finite, check_names, read_weights
from policies.errors import OutputRefused

__all__ = ["PUBLIC_RUN_FIELDS", "canonical_bytes", "check_run_fields", "check_update", "read_update", "release_update"]

# All that a researcher is told of a run; `update` is the released update's digest, `reason` a public text. None of them
# changes while a run is running: neither progress nor tries can be seen.
PUBLIC_RUN_FIELDS = ("run", "round", "state", "code", "reason", "update", "queue_position", "version", "epsilon_spent")
_REFUSED = (
    "The run's result is not exactly the declared parameters, so it stays in the hospital. "
    "Ask the hospital: its log says what was wrong."
)


def check_update(arrays: Mapping[str, np.ndarray], expected: Shapes, *, max_bytes: int) -> None:
    """Refuses an update that is not exactly the declared parameters.

    Guarantees:
        What passes has the declared names and shapes, is float32, finite and at most `max_bytes` large. The
        public text is the same for every refusal, so that it cannot carry anything of the data.

    Args:
        arrays: Name → what the run made, of the expected shape.
        expected: Name → shape of each parameter that the plan trains.
        max_bytes: Most bytes of values.

    Raises:
        OutputRefused: With the reason in the private text.
    """
    try:
        _check_arrays(arrays, expected, max_bytes)
    except Malformed as error:
        raise OutputRefused(_REFUSED, private=f"The update was refused: {error}.") from error


def read_update(path: Path, expected: Shapes, *, max_bytes: int) -> dict[str, np.ndarray]:
    """Reads the file a run wrote. The file never leaves: what leaves is `canonical_bytes` of the result.

    Guarantees:
        As `check_update`; besides, the file held no metadata and no byte that belongs to no parameter.

    Args:
        path: Of a plain file; a link is refused.
        expected: Name → shape of each parameter that the plan trains.
        max_bytes: Largest file.

    Returns:
        Name → float32 array, sorted by name.

    Raises:
        OutputRefused: With the reason in the private text.
    """
    try:
        return read_weights(path, expected, max_bytes=max_bytes)
    except Malformed as error:
        raise OutputRefused(_REFUSED, private=f"The update was refused: {error}.") from error


def release_update(
    path: Path, expected: Shapes, encoding: str, write: Callable[[bytes], object], *, max_bytes: int
) -> None:
    """Checks the file a run wrote and writes what may leave of it: the declared arrays in the plan's encoding.

    Guarantees:
        As `read_update`, in bounded memory. What was written may be read by others only after this returned.
        An encoding is applied to values that passed, and is post-processing of them.

    Args:
        path: Of a plain file; a link is refused.
        expected: Name → shape of each parameter that the plan trains.
        encoding: The plan's `update_encoding`.
        write: Takes the bytes, in order.
        max_bytes: Largest file.

    Raises:
        OutputRefused: With the reason in the private text.
    """
    try:
        encodings.encode_file(path, expected, encoding, write, max_bytes=max_bytes)
    except Malformed as error:
        raise OutputRefused(_REFUSED, private=f"The update was refused: {error}.") from error


def check_run_fields(answer: Mapping[str, Any]) -> None:
    """Refuses to tell anything of a run besides `PUBLIC_RUN_FIELDS`.

    Guarantees:
        What passes holds public fields only.

    Raises:
        OutputRefused: Naming the undeclared field in the private text.
    """
    if undeclared := sorted(set(answer) - set(PUBLIC_RUN_FIELDS)):
        raise OutputRefused(_REFUSED, private=f"A run's answer held the undeclared field {undeclared[0]!r}.")


def _check_arrays(arrays: Mapping[str, np.ndarray], expected: Shapes, max_bytes: int) -> None:
    check_names(arrays, expected)
    for name, shape in expected.items():
        values = arrays[name]
        if not isinstance(values, np.ndarray) or values.dtype != np.float32:
            raise Malformed(f"{name!r} must be a float32 array")
        if values.shape != tuple(shape):
            raise Malformed(f"{name!r} must have the shape {tuple(shape)}, it has {values.shape}")
    size = sum(values.nbytes for values in arrays.values())
    if size > max_bytes:
        raise Malformed(f"it has {size} bytes of values, {max_bytes} are allowed")
    check_finite(arrays)
