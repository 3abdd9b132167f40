"""Weights that a strategy keeps of each hospital, a file each: computed from what the hospital released, nothing else.

They lie in the study's folder and are read one hospital at a time, so that memory does not grow with the hospitals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from policies import validate
from policies.errors import ConfigError
from researcher import weights_file
from researcher.weights_file import WeightsFile

_FILES = "hospital-*.safetensors"


@dataclass(frozen=True)
class OneHospital:
    """What is kept of one hospital.

    Attributes:
        file: Where.
        public_size: The hospital's, by which means over hospitals are weighted.
    """

    file: WeightsFile
    public_size: float


@dataclass(frozen=True)
class KeptWeights:
    """The kept weights of all hospitals; a change makes another, and leaves the files of this one.

    Attributes:
        folder: Where the files lie.
        hospitals: Name → what is kept of it; only of those that released something.
    """

    folder: Path
    hospitals: Mapping[str, OneHospital] = field(default_factory=dict)

    def read(self, datasite: str) -> dict[str, np.ndarray] | None:
        """The weights of one hospital, name → float32 array of its shape; None where it has released nothing.

        Raises:
            ConfigError: The file is missing or is not the one that was written.
        """
        one = self.hospitals.get(datasite)
        return None if one is None else weights_file.read(self.folder, one.file)

    def with_one(self, datasite: str, arrays: Mapping[str, np.ndarray], *, public_size: float) -> Self:
        """The same with other weights of one hospital, which are written now.

        Args:
            datasite: Name of the hospital.
            arrays: Name → float32 array of each parameter's shape.
            public_size: The hospital's.

        Raises:
            ConfigError: The folder cannot be written.
        """
        written = weights_file.write(self.folder, "hospital-{digest}.safetensors", arrays)
        return type(self)(self.folder, {**self.hospitals, datasite: OneHospital(written, public_size)})

    def without(self, datasites: Iterable[str]) -> Self:
        """The same of other hospitals than these; their files stay until `remove_others`.

        Args:
            datasites: Names, also of hospitals of which nothing is kept.
        """
        left = set(datasites)
        return type(self)(self.folder, {name: one for name, one in self.hospitals.items() if name not in left})

    def mean(self) -> dict[str, np.ndarray]:
        """The mean over all hospitals, weighted by public size, name → float64 array; read one after the other.

        Raises:
            ConfigError: As `read`.
        """
        total, sums = 0.0, dict[str, np.ndarray]()
        for name, one in sorted(self.hospitals.items()):
            for key, array in (self.read(name) or {}).items():
                sums.setdefault(key, np.zeros(array.shape))[...] += one.public_size * array.astype(np.float64)
            total += one.public_size
        return {key: np.asarray(array / total) for key, array in sums.items()}

    def remove_others(self) -> None:
        """Removes files of earlier rounds from the folder."""
        needed = {one.file.file for one in self.hospitals.values()}
        for file in self._files():
            if file.name not in needed:
                file.unlink(missing_ok=True)

    def _files(self) -> Iterator[Path]:
        yield from self.folder.glob(_FILES)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON; without the folder, which may be moved."""
        return {name: asdict(one) for name, one in self.hospitals.items()}

    @classmethod
    def from_dict(cls, folder: Path, values: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` writes.

        Raises:
            KeyError, TypeError, ValueError, AttributeError, ConfigError: It is not that.
        """
        found = {}
        for name, one in values.items():
            size = validate.number("public_size", one["public_size"], low=0, high=1e15, open_low=True)
            found[str(name)] = OneHospital(WeightsFile(**one["file"]), size)
        return cls(folder, found)


def needed(kept: KeptWeights | None) -> KeptWeights:
    """Returns what is kept.

    Raises:
        ConfigError: The state has no place for it.
    """
    if kept is None:
        raise ConfigError(
            "This strategy keeps weights of each hospital in a folder, the state names none. Give it one before the "
            "first round: replace(state, kept=KeptWeights(folder))."
        )
    return kept
