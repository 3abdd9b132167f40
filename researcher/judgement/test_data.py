"""Test data: a public hold-out with whose each picture is, at which hospital, and in which groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from datasites.sources.arrays.members import NpzFile
from datasites.sources.tables.read_table import TABLE_SUFFIXES, Table, read_table
from policies.errors import DataError
from policies.plans.picture_form import PictureForm
from researcher.evaluation.feature_hold_out import with_features
from researcher.evaluation.hold_out import HoldOut, load_hold_out

if TYPE_CHECKING:  # a simulation reads data so, and opens no model
    from researcher.judgement.opened_model import OpenedModel

SITE, PATIENT, PATH = "site", "patient", "path"
_NAMED = 3


@dataclass(frozen=True)
class About:
    """What is said of the test pictures besides their classes.

    Attributes:
        table: A table with a column `path`; the test data's own, where these are a table, if None.
        patient_column: Which patient each picture is of; one named `patient` is taken where there is one.
        site_column: Which hospital's; one named `site` likewise.
        group_columns: Columns whose values scores are told for, such as sex or age group.
    """

    table: Path | None = None
    patient_column: str = ""
    site_column: str = ""
    group_columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestData:
    """Public pictures that a model is judged on.

    Attributes:
        hold_out: The pictures and their classes, as the model takes and names them.
        source: File or folder, by its name.
        patients: Whose each is; None where that is not known.
        columns: Column → its value for each picture; a hospital's column first.
        converted: How pictures of another form became the model's.
    """

    hold_out: HoldOut
    source: str
    patients: tuple[str, ...] | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    converted: str = ""

    @property
    def unit(self) -> str:
        """What a bootstrap draws."""
        return "picture" if self.patients is None else "patient"

    @property
    def units(self) -> np.ndarray:
        """Which patient each picture is of, int64, (N,), numbers from 0 without a gap."""
        if self.patients is None:
            return np.arange(len(self.hold_out.images))
        return np.asarray(np.unique(np.array(self.patients), return_inverse=True)[1]).reshape(-1)


def load_test_data(
    path: Path | str, model: OpenedModel, about: About | None = None, *, backbone_weights: str | None = None
) -> TestData:
    """Reads test data as the model takes them, by the decoder of the hospitals' pictures.

    Args:
        path: As `load_hold_out` takes it.
        model: Whose classes, shape and form they are read for.
        about: Where patients, hospitals and groups stand; in columns of the usual names if None.
        backbone_weights: Of a safetensors model that reads features.

    Raises:
        DataError: Not such data, other classes than the model's, or a column that is not there.
        ConfigError: The model reads features and no weights were given.
    """
    path, about = Path(path), about or About()
    hold_out, converted = _in_form(path, model)
    columns = columns_of(path, hold_out, about)
    patients = columns.pop(PATIENT, None) or hold_out.patients
    if patients is not None and not all(patients):
        raise DataError(f"{path}: patients must be named for every picture, or for none; some are not.")
    if SITE not in columns and hold_out.sites is not None:
        columns = {SITE: hold_out.sites, **columns}
    if model.about.format == "safetensors":
        hold_out = with_features(hold_out, model.spec, backbone_weights)
    return TestData(hold_out, path.name or str(path), patients, columns, converted)


def _in_form(path: Path, model: OpenedModel) -> tuple[HoldOut, str]:
    """The pictures in the model's form, and how they came into it where they were arrays of another shape."""
    names, shape, kind = model.about.class_names, model.spec.image_shape, model.about.label_kind
    found = load_hold_out(path, class_names=names, image_shape=shape, form=model.form, label_kind=kind)
    own = found.images.shape[1:]
    if own == shape:
        return _of_kind(found, model, path), ""
    form = PictureForm(shape[:2], shape[2])
    found = load_hold_out(path, class_names=names, image_shape=shape, form=form, label_kind=kind)
    told = f"Pictures of {_size(own)} were brought to the model's {_size(shape)} by the hospitals' decoder."
    return _of_kind(found, model, path), told


def _of_kind(found: HoldOut, model: OpenedModel, path: Path) -> HoldOut:
    if found.label_kind != model.about.label_kind:
        kinds = {"single": "one class a picture", "multi": "a row of 0, 1 or -1 a picture, one for each finding"}
        raise DataError(
            f"The model tells {kinds[model.about.label_kind]}; {path} has {kinds[found.label_kind]}. Give other data."
        )
    return found


def _size(shape: Sequence[int]) -> str:
    height, width, channels = shape
    return f"{height} × {width} { ({1: 'grey', 3: 'colour'}.get(channels, f'{channels}-channel')) }"


def columns_of(path: Path, hold_out: HoldOut, about: About) -> dict[str, tuple[str, ...]]:
    """`patient` and `site` where there are such columns, and the groups, each with a value for every picture.

    Args:
        path: Where the pictures were read.
        hold_out: The pictures.
        about: Where these things stand.

    Raises:
        DataError: A column that was asked for is not there, or does not name every picture.
    """
    is_npz = path.suffix.lower() == ".npz" and about.table is None
    named = {PATIENT: about.patient_column, SITE: about.site_column}
    usual = {PATIENT: "groups", SITE: "sites"} if is_npz else {PATIENT: PATIENT, SITE: SITE}
    wanted = {name: column or usual[name] for name, column in named.items()}
    wanted |= {column: column for column in about.group_columns}
    table = about.table or (path if path.suffix.lower() in TABLE_SUFFIXES and path.is_file() else None)
    if is_npz:
        found = _of_arrays(path, list(wanted.values()), hold_out)
    else:
        found = {} if table is None else _of_table(table, list(wanted.values()), hold_out)
    asked = [*(column for column in named.values() if column), *about.group_columns]
    if missing := [column for column in asked if column not in found]:
        where = table or path
        raise DataError(
            f"{where} has no column {missing[0]!r}. "
            + ("Add an array of that name with a value for each picture." if is_npz else _advice(table))
        )
    return {name: found[column] for name, column in wanted.items() if column in found}


def _advice(table: Path | None) -> str:
    if table is None:
        return "Give a table with a column 'path' and that column: --about."
    return f"It has {', '.join(read_table(table, [PATH]).heads)}."


def _of_arrays(path: Path, wanted: Sequence[str], hold_out: HoldOut) -> dict[str, tuple[str, ...]]:
    archive, found = NpzFile(path), {}
    prefix = "" if "images" in archive.keys else "test_"
    rows = [int(place) for place in hold_out.places]
    labels = archive.array(f"{prefix}labels")
    for name in wanted:
        values = next((one for key in (name, prefix + name) if (one := archive.array(key)) is not None), None)
        if values is None:
            continue
        if labels is None or values.shape != (len(labels),):
            raise DataError(f"{path}: {name!r} must be one value for each picture, it is of shape {values.shape}.")
        found[name] = tuple(str(values[row]) for row in rows)
    return found


def _of_table(file: Path, wanted: Sequence[str], hold_out: HoldOut) -> dict[str, tuple[str, ...]]:
    """The table's rows in the order of the pictures, joined by path, or by file name where that is enough."""
    try:
        table = read_table(file, [PATH, *wanted])
    except DataError as error:
        raise DataError(f"{file}: {error.public} {error.private}".strip()) from error
    there = [name for name in wanted if name in table.columns]
    if not there:
        return {}
    if PATH not in table.columns:
        raise DataError(f"{file} needs a column {PATH!r} that names each picture's file. It has {_heads(table)}.")
    rows = _rows(table.columns[PATH])
    places = [place.rsplit(" [", 1)[0] for place in hold_out.places]
    order = [rows.get(place, rows.get(PurePosixPath(place).name)) for place in places]
    if missing := [place for place, row in zip(places, order, strict=True) if row is None]:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise DataError(
            f"{file} says nothing of {', '.join(missing[:_NAMED])}{more}. Its column {PATH!r} must name every picture, "
            "by its path in the test data."
        )
    return {name: tuple(table.columns[name][row].strip() for row in order if row is not None) for name in there}


def _rows(paths: Sequence[str]) -> dict[str, int]:
    """Path → row, and file name → row where no two paths end in it."""
    written = [str(PurePosixPath(path.strip().replace("\\", "/"))) for path in paths]
    names = [PurePosixPath(path).name for path in written]
    often = Counter(names)
    alone = {name: row for row, name in enumerate(names) if often[name] == 1}
    return {**alone, **{path: row for row, path in enumerate(written)}}


def _heads(table: Table) -> str:
    return ", ".join(table.heads)
