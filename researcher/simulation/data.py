"""A simulation's data, read as the researcher's own test data are. No hospital's pictures come in here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from policies.errors import DataError
from researcher.evaluation.hold_out import HoldOut, load_hold_out
from researcher.evaluation.hold_out_arrays import takes_test_part
from researcher.evaluation.hold_out_names import refuse_hospitals_of_a_column
from researcher.judgement.test_data import PATIENT, SITE, About, columns_of
from researcher.simulation.settings import SimulationSettings

_HELD_BACK = 2  # of the numbers that a seed's generators are told apart by


@dataclass(frozen=True, eq=False)
class Data:
    """Pictures to share out.

    Attributes:
        pictures: With their classes.
        units: int64, (N,), unit of each picture, numbered from 0 without a gap.
        values: Of the column that hospitals are made from, one for each picture; None for other rules.
    """

    pictures: HoldOut
    units: np.ndarray
    values: tuple[str, ...] | None = None

    @property
    def classes_of_units(self) -> np.ndarray:
        """The class of each unit's first picture, int64, (U,).

        Raises:
            DataError: Labels are findings, of which a picture may have several.
        """
        if self.pictures.label_kind == "multi":
            raise DataError("Dirichlet draws need one class a picture, these have findings. Choose --split even.")
        return np.asarray(self.pictures.labels[self._first])

    @property
    def values_of_units(self) -> tuple[str, ...] | None:
        """The column's value of each unit.

        Raises:
            DataError: A unit has several.
        """
        if self.values is None:
            return None
        values = np.array(self.values)
        found = values[self._first]
        if (found[self.units] != values).any():
            raise DataError(
                "A patient has pictures of several values of the column. Choose --unit picture, or another."
            )
        return tuple(found.tolist())

    @property
    def _first(self) -> np.ndarray:
        return np.asarray(np.unique(self.units, return_index=True)[1])

    def of_units(self, chosen: np.ndarray) -> Data:
        """The data of some units, numbered anew.

        Args:
            chosen: bool, (U,).
        """
        rows = np.flatnonzero(chosen[self.units])
        units = np.unique(self.units[rows], return_inverse=True)[1].astype(np.int64)
        values = None if self.values is None else tuple(self.values[row] for row in rows)
        return Data(_rows(self.pictures, rows), units, values)


def read_data(path: Path | str, settings: SimulationSettings) -> Data:
    """Reads pictures with what the settings' rule needs of them.

    Args:
        path: As `load_hold_out` takes it: an .npz file, a folder, a table, or a .toml that describes them.
        settings: Of the simulation.

    Raises:
        DataError: Not such data, parts of one data set, or a column that is not there.
    """
    path = Path(path)
    if takes_test_part(path):
        raise DataError(
            f"{path} is in parts, and its test part is not to be trained on. Give a TOML file with a table [dataset] "
            'that names it as data_path, with split = "train", and this one as --test.'
        )
    pictures = load_hold_out(path)
    of_groups = () if settings.column in ("", SITE) else (settings.column,)
    columns = columns_of(path, pictures, About(patient_column=settings.patient_column, group_columns=of_groups))
    if SITE not in columns and pictures.sites is not None:
        columns[SITE] = pictures.sites
    if settings.column and settings.column not in columns:
        raise DataError(f"{path} names no {settings.column!r} of its pictures. Name another column.")
    values = columns[settings.column] if settings.column else None
    if values is not None:
        refuse_hospitals_of_a_column(set(values), settings.column)
    return Data(pictures, _units(path, pictures, columns.get(PATIENT) or pictures.patients, settings.unit), values)


def with_hold_out(data: Data, test: Path | str | None, settings: SimulationSettings) -> tuple[Data, HoldOut]:
    """What is trained on, and what is scored on: test data of their own, or a share of the units, held back.

    Args:
        data: All that was read.
        test: Test data of the same classes and shape, or None.
        settings: Of the simulation.

    Raises:
        DataError: The test data do not fit, or there are too few units to hold some back.
    """
    pictures, units = data.pictures, int(data.units.max()) + 1
    if test is not None:
        shape = pictures.images.shape[1:]
        own = load_hold_out(
            test,
            class_names=pictures.class_names,
            image_shape=(shape[0], shape[1], shape[2]),
            label_kind=pictures.label_kind,
        )
        return data, own
    order = np.random.default_rng([settings.seed, _HELD_BACK]).permutation(units)
    held = np.zeros(units, bool)
    held[order[: round(settings.held_back * units)]] = True
    if held.all() or not held.any():
        raise DataError(f"{settings.held_back:g} of {units} units leave nothing to train or to score on. Give --test.")
    return data.of_units(~held), data.of_units(held).pictures


def _units(path: Path, pictures: HoldOut, patients: Sequence[str] | None, unit: str) -> np.ndarray:
    if unit == "picture":
        return np.arange(len(pictures.images), dtype=np.int64)
    if patients is None or not all(patients):
        raise DataError(f"{path} does not say whose each picture is: name the column, or choose --unit picture.")
    return np.unique(np.array(patients), return_inverse=True)[1].astype(np.int64)


def _rows(pictures: HoldOut, rows: np.ndarray) -> HoldOut:
    def some(texts: Sequence[str] | None) -> tuple[str, ...] | None:
        return None if texts is None else tuple(texts[row] for row in rows)

    return replace(
        pictures,
        images=pictures.images[rows],
        labels=pictures.labels[rows],
        features=None if pictures.features is None else pictures.features[rows],
        reports=some(pictures.reports),
        places=some(pictures.places) or (),
        patients=some(pictures.patients),
        sites=some(pictures.sites),
        left_out=(),
    )
