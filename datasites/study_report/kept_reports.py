"""Study reports that a command has kept, in words, for the console's own page. They stay in the hospital.

Whoever shows them knows nothing of how they are made: a report is one private file of sentences and of a table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from datasites.files.private_file import write_private
from policies.answers.plain_values import from_plain, to_plain
from policies.errors import ConfigError, RequestUnknown

HEADS = ("of", "name", "count", "score", "local", "global")


@dataclass(frozen=True)
class KeptReport:
    """A report in words.

    Attributes:
        study: Its study.
        request_id: Of the study's request.
        made_at: When, UTC.
        private: That it is for the hospital alone.
        head: What was looked at.
        rows: The models' scores, each as `HEADS` name it.
        membership: What the released updates give away, and the most that any test can find.
        counted: What the rows count: `patient` or `picture`.
    """

    study: str
    request_id: str
    made_at: str
    private: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, str, str, str, str, str], ...]
    membership: tuple[str, ...]
    counted: str = "patient"


class KeptReports:
    """The folder of one datasite's reports: at most one a request."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, report: KeptReport) -> Path:
        """Keeps a report, mode 0600, in the place of an earlier one of the request.

        Raises:
            ConfigError: It cannot be written.
        """
        file = self._folder / f"{report.request_id}.json"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_private(file, json.dumps(to_plain(report), indent=1))
        except OSError as error:
            raise ConfigError("The report cannot be kept in the state folder.", private=str(error)) from error
        return file

    def all(self) -> tuple[KeptReport, ...]:
        """Every report, the newest first.

        Raises:
            ConfigError: One cannot be read.
        """
        found = [self._read(file) for file in self._folder.glob("*.json")]
        return tuple(sorted(found, key=lambda one: one.made_at, reverse=True))

    def of(self, request_id: str) -> KeptReport:
        """The report of a request.

        Raises:
            RequestUnknown: There is none.
        """
        return next(one for one in self._known(request_id))

    def remove(self, request_id: str) -> None:
        """Removes a report.

        Raises:
            RequestUnknown: There is none.
        """
        for one in self._known(request_id):
            (self._folder / f"{one.request_id}.json").unlink(missing_ok=True)

    def _known(self, request_id: str) -> list[KeptReport]:
        """The reports of a request, found among those that are there: what is asked for never names a file."""
        found = [one for one in self.all() if one.request_id == request_id]
        if not found:
            raise RequestUnknown("There is no report of this request. 'study-report --keep' makes one.")
        return found

    def _read(self, file: Path) -> KeptReport:
        unreadable = f"The report {file.name} cannot be read. Remove it, and make it anew."
        try:
            found = from_plain(KeptReport, json.loads(file.read_text()), lambda what: ConfigError(unreadable))
        except (OSError, ValueError) as error:
            raise ConfigError(unreadable) from error
        if file.stem != found.request_id:
            raise ConfigError(unreadable)
        return found
