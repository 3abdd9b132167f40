"""Labels of DICOM pictures by a table that names them by an identifier or a path. Names of classes become public."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datasites.picture_files.picture_refused import Reason
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.dicom.frames import DicomPicture, NotTaken
from datasites.sources.dicom.labels import Labeller, Said
from datasites.sources.dicom.stops import OTHER_OBJECT
from datasites.sources.folders.levels import one_form
from datasites.sources.identity import NamesSeen
from datasites.sources.listing import LeftOut, classes_said
from datasites.sources.reasons import NOT_IN_TABLE
from datasites.sources.tables.labels import RowLabels
from datasites.sources.tables.part_column import refuse_parts
from datasites.sources.tables.problems import NO_PATH, NO_PATIENT, TWICE, TWO_LABELS, RowProblems
from datasites.sources.tables.read_table import read_table
from datasites.sources.tables.rows import rows_of
from datasites.sources.tables.table_pictures import (
    ADVICE,
    check_columns,
    look_at_classes,
    refuse_identity,
    wanted_columns,
)
from policies.errors import ConfigError, DataError

NO_SUCH_PICTURE = Reason(
    "no_such_picture",
    "The table names a picture that no DICOM file which is taken is.",
    "Nothing need be done if the table holds more than this export.",
)


@dataclass(frozen=True, repr=False)
class _Named:
    """A row that named pictures: where it stands, and what it says."""

    line: int
    cells: Sequence[str]
    said: Said


class TableLabels:
    """What a table says of DICOM pictures.

    Args:
        settings: The table, its columns, and what its path column holds.

    Raises:
        ConfigError: No table, or its columns and class_names do not go together.
        DataError: The table cannot be read, or rows of it are wrong, all of which are named in private.
        IdentitySuspected: Columns, or the names of classes, look like a person's.
    """

    def __init__(self, settings: DatasetSettings) -> None:
        if not settings.table:
            raise ConfigError("labels_from 'table' needs a table. Give its path as table in [dataset].")
        self._match, self._named_pictures = settings.table_match, set[str]()
        self._label_kind = settings.label_kind
        self._file = Path(settings.table)
        table = read_table(self._file, wanted_columns(settings), settings.table_encoding, settings.table_sheet)
        check_columns(table, settings, self._file)
        refuse_identity(table, settings)
        refuse_parts(table.values, settings)
        labels = RowLabels(settings, zip(*(table.columns[name] for name in settings.label_columns), strict=True))
        self.class_names = labels.class_names
        self._rows: dict[str, _Named] = {}
        problems = RowProblems()
        for row in rows_of(table, settings):
            key = self._key(row.path)
            found = labels.of(row.labels)
            if not key:
                problems.add(row.line, NO_PATH)
            elif key in self._rows:
                problems.add(row.line, TWICE if self._rows[key].cells == row.labels else TWO_LABELS, row.path)
            elif isinstance(found[0], str):
                problems.add(row.line, found[0], str(found[1]))
            elif row.patient == "":
                problems.add(row.line, NO_PATIENT)
            else:
                said = Said(tuple(int(one) for one in found), row.patient, row.report)
                self._rows[key] = _Named(row.line, row.labels, said)
        problems.refuse()
        names = NamesSeen(settings.safe_kinds)
        look_at_classes(names, labels.class_names, settings)
        names.refuse(ADVICE)

    def labeller(self) -> Labeller:
        """What the table says of a picture."""

        def labeller(one: DicomPicture) -> Said | Reason:
            key = self._key(self._held(one.picture.inside, one.identifiers))
            if key not in self._rows:
                return NOT_IN_TABLE
            self._named_pictures.add(key)
            return self._rows[key].said

        return labeller

    def left_out(self, not_taken: Sequence[NotTaken]) -> list[LeftOut]:
        """Files that are left out, each with the labels of the row that names it."""
        rows = [self._row_of(one) for one in not_taken]
        return [
            one.left_out if row is None else replace(one.left_out, labels=row.said.labels)
            for one, row in zip(not_taken, rows, strict=True)
        ]

    def without_picture(self, not_taken: Sequence[NotTaken]) -> list[LeftOut]:
        """The rows that have named no picture yet.

        Raises:
            DataError: They are all rows of a class, or of those who have a finding, they name none of `not_taken`, and
                some of these do not say what the table names files by: they may be its pictures.
        """
        missing = [row for key, row in self._rows.items() if key not in self._named_pictures]
        unread = [one.left_out for one in not_taken if self._may_be_any(one)]
        seen = [row for key, row in self._rows.items() if key in self._named_pictures]
        seen += [row for one in not_taken if (row := self._row_of(one)) is not None]
        if unread and (lost := self._classes(missing) - self._classes(seen)):
            raise DataError(
                "The table has a class, or a finding, of which no picture is found, and there are files that do not "
                f"say which pictures they are: they may be its own. {unread[0].reason.advice} If they are not, take "
                "them out of the folder.",
                private=f"Class {self.class_names[min(lost)]}; for instance {unread[0].place}: "
                f"{unread[0].reason.means}",
            )
        return [LeftOut(f"{self._file.name}, line {row.line}", NO_SUCH_PICTURE, lost=False) for row in missing]

    def _classes(self, rows: Sequence[_Named]) -> set[int]:
        return classes_said((row.said.labels for row in rows), self._label_kind)

    def _row_of(self, one: NotTaken) -> _Named | None:
        return self._rows.get(self._key(self._held(one.left_out.place, one.identifiers)))

    def _may_be_any(self, one: NotTaken) -> bool:
        """Whether a file may be a picture of any row: a header that says what kind of object it is says which, too."""
        may_be_picture = one.left_out.lost or one.left_out.reason == OTHER_OBJECT
        return may_be_picture and not self._held(one.left_out.place, one.identifiers)

    def _held(self, inside: str, identifiers: Mapping[str, str]) -> str:
        return inside if self._match == "path" else identifiers.get(self._match, "")

    def _key(self, named: str) -> str:
        """What names a picture, in the form that both sides have."""
        return one_form(named.replace("\\", "/").removeprefix("./") if self._match == "path" else named.strip())
