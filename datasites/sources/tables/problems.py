"""Problems with a table's rows, all of them in one answer: kinds in public, lines and values in private."""

from __future__ import annotations

from policies.errors import DataError

NO_PATH = "a path is missing"
LEAVES = "a path leads out of data_path, or does not begin there"
NO_FILE = "a file is not there"
OTHER_CAPITALS = "a file is not there, and one whose name has other capitals is"
SEVERAL_FILES = "several files have the name that a path gives without its suffix"
TWICE = "a file comes twice"
TWO_LABELS = "a file has two labels"
NO_LABEL = "a label is missing"
NOT_FILLED_IN = "a label says that none was filled in"
UNDECLARED = "a label is not among class_names"
CONTRADICTS = "a row says that there is no finding, and names one"
NO_FINDING = "a finding is neither 0, 1 nor unknown"
NOT_ONE = "not exactly one class has a 1"
NO_PATIENT = "a patient is missing"
ROUNDED = "a patient's number was rounded by a spreadsheet"
NO_SITE = "a hospital is missing"
_SHOWN = 5


class RowProblems:
    """Collects what is wrong, row by row."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, line: int, what: str, value: str = "") -> None:
        """Notes one row's problem.

        Args:
            line: Where the row stands in the file.
            what: One of this module's sentences.
            value: What stands there. Private.
        """
        self._found.setdefault(what, []).append(f"{line} ({value})" if value else f"{line}")

    def refuse(self) -> None:
        """Refuses the table if anything was noted.

        Raises:
            DataError: With every kind of problem in public, and the first lines of each in private.
        """
        if not self._found:
            return
        told = [
            f"{what} (rows: {len(lines)}), in lines {', '.join([*lines[:_SHOWN], *['...'][: len(lines) > _SHOWN]])}"
            for what, lines in self._found.items()
        ]
        raise DataError(
            f"The table cannot be taken: {'; '.join(self._found)}. Correct it, or the settings of its columns.",
            private="\n".join(told),
        )
