"""The places in a folder of the files that a table names: never outside of it. Private."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from datasites.sources.contents import PICTURE_SUFFIXES
from datasites.sources.folders.levels import one_form
from datasites.sources.tables.problems import LEAVES, NO_FILE, NO_PATH, OTHER_CAPITALS, SEVERAL_FILES

_DRIVE = re.compile(r"[A-Za-z]:")
PROBLEMS = (NO_PATH, LEAVES, NO_FILE, OTHER_CAPITALS, SEVERAL_FILES)
"""What `Places.of` says in place of a place."""


class Places:
    """Where in the folder the files are that a table names."""

    def __init__(self, root: Path) -> None:
        self._root, self._real_root = root, root.resolve()
        self._folded: dict[Path, dict[str, str]] = {}
        self._bare: dict[Path, dict[str, list[str]]] = {}

    def of(self, path: str) -> str:
        """Where a named file is in the folder; or the problem with its name.

        A name without the suffix of a picture is the file's that has it, where there is one alone.
        """
        if not path:
            return NO_PATH
        path = path.replace("\\", "/")
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if path.startswith("/") or _DRIVE.match(path) or ".." in parts or "\0" in path:
            return LEAVES
        for form in (path, one_form(path), unicodedata.normalize("NFD", path)):
            file = self._root / form
            try:
                if file.is_file():
                    return self._inside(file)
                fitting = self._with_suffix(file)
            except OSError:  # a name that no file can have
                return NO_FILE
            if fitting:
                return self._inside(file.parent / fitting[0]) if len(fitting) == 1 else SEVERAL_FILES
        return OTHER_CAPITALS if self._with_other_capitals(parts) else NO_FILE

    def _with_other_capitals(self, parts: list[str]) -> bool:
        """Whether there is a file of this name where capitals do not count, as in other systems; never outside."""
        found = self._root
        for part in parts:
            if found not in self._folded:
                inside = found.is_dir() and found.resolve().is_relative_to(self._real_root)
                names = sorted(one.name for one in found.iterdir()) if inside else []
                self._folded[found] = {one_form(name).casefold(): name for name in names}
            name = self._folded[found].get(one_form(part).casefold())
            if name is None:
                return False
            found = found / name
        return found.is_file()

    def _inside(self, file: Path) -> str:
        is_inside = file.resolve().is_relative_to(self._real_root)
        return "/".join(file.relative_to(self._root).parts) if is_inside else LEAVES

    def _with_suffix(self, file: Path) -> list[str]:
        if file.parent not in self._bare:
            self._bare[file.parent] = bare = dict[str, list[str]]()
            inside = file.parent.resolve().is_relative_to(self._real_root) and file.parent.is_dir()
            for one in sorted(file.parent.iterdir()) if inside else ():
                name = one.name
                while Path(name).suffix.lower() in PICTURE_SUFFIXES:  # twice of .nii.gz
                    name = Path(name).stem
                if name != one.name and one.is_file():
                    bare.setdefault(one_form(name), []).append(one.name)
        return self._bare[file.parent].get(one_form(file.name), [])

    def has(self, path: str) -> bool:
        """Whether a path names one file, as it is or without the suffix of a picture."""
        return self.of(path.strip()) not in PROBLEMS
