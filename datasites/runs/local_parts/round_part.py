"""The local part of one round: put into the weights that come in, taken out of the run's result, and kept here."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from datasites.files.private_folder import sync_folder
from policies.contracts.outputs import withhold
from policies.contracts.weights import Malformed, Shapes, canonical_bytes, canonical_header
from policies.contracts.weights_file import canonical_size, open_weights
from policies.errors import DiskFull, InputRefused, StorageUnavailable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_UNREADABLE = (
    "The hospital's disk cannot read now what this round begins with. No round was run or charged. Ask "
    "again later, or ask there."
)


class RoundPart:
    """What stays of one round's model. `datasites.runs.local_parts.kept_parts.LocalParts` makes it."""

    def __init__(
        self, whole: Shapes, stays: Shapes, begins: Mapping[str, np.ndarray] | None, stream: BinaryIO, aside: Path
    ) -> None:
        """Begins with nothing read.

        Args:
            whole: Name → shape of each parameter of the model.
            stays: Those that stay.
            begins: Name → float32 array of each parameter that stays; None in a study's first round here.
            stream: Of a new file with room for them.
            aside: That file, which is removed unless it is kept.
        """
        self._whole, self._stays, self._begins = whole, stays, begins
        self._stream, self._aside = stream, aside
        self._became: dict[str, np.ndarray] = {}

    def join(self, weights: Path, target: Path) -> Path:
        """Writes the model that the round begins with to `target`: what came in, with the local part in its place.

        In a study's first round here the local part is what came in.

        Args:
            weights: File of the round's weights, safetensors, of all parameters; checked when it came in.
            target: File to make, for the run alone.

        Raises:
            InputRefused: It is not exactly the model's parameters.
            DiskFull, StorageUnavailable: The disk takes no more, or does not let it be read now.
        """
        most = canonical_size(self._whole)
        try:
            with (
                unreadable_told(weights),
                disk_full_told(),
                open_weights(weights, self._whole, max_bytes=most) as came,
                target.open("xb") as stream,
            ):
                if self._begins is None:
                    self._begins = {name: came.array(name) for name in self._stays}
                stream.write(canonical_header(self._whole))
                for name in sorted(self._whole):
                    stays = self._begins.get(name)
                    for values in came.chunks(name) if stays is None else [stays]:
                        stream.write(np.ascontiguousarray(values, dtype="<f4").data)
        except Malformed as error:
            raise InputRefused(
                f"The weights of this round are refused: {error}. Send the plan's parameters."
            ) from error
        return target

    def withhold(self, result: Path, target: Path, *, max_bytes: int) -> Path:
        """Takes the local part out of a run's result; returns the file of the rest, the only one that may be released.

        Guarantees:
            As `policies.contracts.outputs.withhold`.

        Args:
            result: What the run wrote: the change of every parameter.
            target: File to make.
            max_bytes: Largest file.

        Raises:
            OutputRefused: The result is not exactly the model's parameters, or the local part left float32.
        """
        self._became = withhold(result, self._whole, self._begins or {}, target, max_bytes=max_bytes)
        return target

    def keep(self, name: str) -> None:
        """Puts what the local part became on the disk for good; it counts once the ledger has the round's update.

        Args:
            name: Of its file.

        Raises:
            DiskFull: The disk takes it no more, although there was room.
        """
        with disk_full_told():
            self._stream.write(canonical_bytes(self._became))
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._aside.replace(self._aside.with_name(name))
            sync_folder(self._aside.parent)


@contextlib.contextmanager
def unreadable_told(file: Path) -> Iterator[None]:
    """Raises StorageUnavailable where the disk does not let `file` be opened or read, before a round is charged."""
    try:
        yield
    except (OSError, Malformed) as error:
        cause = error.__cause__ if isinstance(error, Malformed) else error
        if not isinstance(cause, OSError):
            raise
        raise StorageUnavailable(_UNREADABLE, private=f"{file}: {error}.") from error


@contextlib.contextmanager
def disk_full_told() -> Iterator[None]:
    """Raises DiskFull where the disk takes no more; other errors of the system pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        told = "The hospital's disk has no room for the part of the model that stays there. Ask the hospital."
        raise DiskFull(told, private=repr(error)) from error
