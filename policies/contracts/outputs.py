"""The output contract: of a run only the declared parameters leave, and of a datasite only the declared answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from policies.answers.plain_values import from_plain, to_plain
from policies.contracts import encodings
from policies.contracts.weights import FiniteArrays, Malformed, Shapes, canonical_header, check_finite, read_weights
from policies.contracts.weights_file import AtRest, is_canonical, open_weights, read_whole
from policies.errors import InputRefused, OutputRefused

_REFUSED = (
    "The run's result is not exactly the declared parameters, so it stays in the hospital. "
    "Ask the hospital: its log says what was wrong."
)
_NOT_DECLARED = "The update is not what the plan declares: {}. Ask the hospital."
_UNDECLARED = "The answer is not exactly what a datasite may tell, so it stays in the hospital. Ask the hospital."


def release_update(
    path: Path, expected: Shapes, encoding: str, write: Callable[[bytes | memoryview], object], *, max_bytes: int
) -> None:
    """Checks the file a run wrote and writes what may leave of it: the declared arrays in the plan's encoding.

    Guarantees:
        What is written is a function of the declared arrays alone: exactly these names and shapes, float32, finite, in
        a file of at most `max_bytes` without metadata or a byte that belongs to no array; in bounded memory. It may be
        read by others only after this returned. An encoding is applied to values that passed, and is post-processing
        of them. The public text is the same for every refusal, so that it cannot carry anything of the data.

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


def is_canonical_update(path: Path, expected: Shapes, *, max_bytes: int) -> bool:
    """Whether what `release_update` writes of a run's file is the file itself, if nothing is encoded and it passes.

    Args:
        path: Of a plain file; a link is refused.
        expected: Name → shape of each parameter that the plan trains.
        max_bytes: Largest file.

    Raises:
        OutputRefused: As `release_update`, where it is no such file.
    """
    try:
        return is_canonical(path, expected, max_bytes=max_bytes)
    except Malformed as error:
        raise OutputRefused(_REFUSED, private=f"The update was refused: {error}.") from error


def withhold(
    path: Path, expected: Shapes, begins: Mapping[str, np.ndarray], target: Path, *, max_bytes: int
) -> dict[str, np.ndarray]:
    """Divides the file that a run wrote: the changes that may leave go to `target`, the rest is returned and stays.

    Guarantees:
        What is written is a function of the arrays that leave alone: their canonical file. A result that is not exactly
        the expected arrays is refused whole, with the same public text as any other. What is written still has to pass
        `release_update`.

    Args:
        path: Of a plain file; a link is refused.
        expected: Name → shape of each parameter that the run trains.
        begins: Name → float32 array of each parameter that stays, as the run began with it.
        target: File to make.
        max_bytes: Largest file.

    Returns:
        Name → float32 array of each parameter that stays, as it became: begun with, plus its change.

    Raises:
        OutputRefused: With the reason in the private text.
    """
    leaving = {name: shape for name, shape in expected.items() if name not in begins}
    try:
        with open_weights(path, expected, max_bytes=max_bytes) as weights, target.open("xb") as stream:
            changes = {name: list(weights.chunks(name)) for name in sorted(begins)}
            stream.write(canonical_header(leaving))
            for name in sorted(leaving):
                for chunk in weights.chunks(name):
                    stream.write(chunk.tobytes())
        with np.errstate(over="ignore"):
            became = {name: begins[name] + np.concatenate(of).reshape(expected[name]) for name, of in changes.items()}
        check_finite(became)
    except Malformed as error:
        raise OutputRefused(_REFUSED, private=f"The run's result was refused: {error}.") from error
    return became


def take_update(source: Path | bytes, expected: Shapes, *, max_bytes: int, encoding: str = "none") -> FiniteArrays:
    """Reads what `release_update` wrote, on the side that it was made for, which takes nothing else.

    Guarantees:
        What is returned has the declared names and shapes, is float32 and finite, and came from at most
        `max_bytes`. Nothing of the file is executed or kept.

    Args:
        source: The bytes that came, or a file of them.
        expected: Name → shape of each array of the update.
        max_bytes: Largest file.
        encoding: The plan's `update_encoding`.

    Returns:
        Name → float32 array, sorted by name, closed to writing.

    Raises:
        InputRefused: Naming what was expected.
        OSError: The disk does not let the file be read.
    """
    try:
        if encoding == "none":
            if isinstance(source, Path):
                return read_whole(source, expected, max_bytes=max_bytes)
            return read_weights(source, expected, max_bytes=max_bytes)
        return FiniteArrays(encodings.decode(source, expected, encoding, max_bytes=max_bytes))
    except Malformed as error:
        raise InputRefused(_NOT_DECLARED.format(error)) from error


def checked_update(
    file: Path,
    expected: Shapes,
    *,
    max_bytes: int,
    encoding: str = "none",
    told: Callable[[Exception], Exception] = lambda error: error,
) -> FiniteArrays | AtRest:
    """Checks a file as `take_update` does; an update that nothing encodes takes no memory until its arrays are read.

    Args:
        file, expected, max_bytes, encoding: As of `take_update`.
        told: What is raised where the disk does not give later what was checked, of the Malformed or OSError.

    Returns:
        Name → float32 array, each of its parameter's shape; they are there also once the file's name is gone.

    Raises:
        InputRefused, OSError: As `take_update`.
    """
    if encoding != "none":
        return take_update(file, expected, max_bytes=max_bytes, encoding=encoding)
    try:
        return AtRest(file, expected, max_bytes=max_bytes, told=told)
    except Malformed as error:
        raise InputRefused(_NOT_DECLARED.format(error)) from error


def release_answer(answer: object) -> dict[str, Any]:
    """What may be told outside of an answer: exactly the fields that its type declares, as plain values.

    Guarantees:
        What is returned has the declared fields, each of its declared type and within its checks. The public text of a
        refusal says nothing of what the answer held.

    Args:
        answer: Of one of the types in `policies.answers`.

    Raises:
        OutputRefused: With the reason in the private text.
    """
    plain = to_plain(answer)
    from_plain(type(answer), plain, lambda text: OutputRefused(_UNDECLARED, private=text))
    return dict(plain)
