"""Everything that lies in a folder, in the order of its names, with what operating systems leave behind set apart."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datasites.picture_files.picture_refused import Reason
from datasites.sources.listing import LeftOut
from datasites.sources.reasons import EMPTY_FOLDER, SYSTEM_FILE
from policies.errors import DataError

SYSTEM_FOLDERS = frozenset(
    {
        "__macosx",
        "@eadir",
        "@recycle",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "recycler",
        "lost+found",
        "system volume information",
        "network trash folder",
        "temporary items",
        "thevolumesettingsfolder",
        "@recently-snapshot",
        "@sharesnap",
        "@tmp",
        "~snapshot",
    }
)
_RECOVERED = re.compile(r"found\.\d{3}")  # pieces of files that Windows saves when it mends a disk
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
MOST_LEVELS = 64  # of folders within folders


@dataclass(frozen=True)
class Found:
    """A file of a folder.

    Attributes:
        inside: Where it is, with '/' between folders.
        folders: The folders that it lies in, from the outermost.
    """

    inside: str
    folders: tuple[str, ...]

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.inside.rpartition("/")[2]


class Walk:
    """A walk through a folder, which notes what it passes by.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left_out: list[LeftOut] = []
        self._real = root.resolve()

    def files(self, inside: str = "") -> Iterator[Found]:
        """The files of the folder, or of one in it, in the order of their names.

        Raises:
            DataError: A folder that cannot be listed, a link that leads out of `root` or around in a circle, or more
                levels of folders than anybody makes.
        """
        folders = tuple(inside.split("/")) if inside else ()
        yield from self._files(folders, (self.root.joinpath(*folders).resolve(),))

    def subfolders(self, inside: str = "") -> list[str]:
        """Names of the folders that lie in the folder itself, or in one in it; those of systems are left out.

        Raises:
            DataError: As `files`.
        """
        folders = tuple(inside.split("/")) if inside else ()
        found = [entry for entry in self._entries(folders) if entry.is_dir() and not _is_of_a_system(entry)]
        for entry in found:
            self._check_link(entry, ())
        return [entry.name for entry in found]

    def _files(self, folders: tuple[str, ...], above: tuple[Path, ...]) -> Iterator[Found]:
        if len(folders) > MOST_LEVELS:
            raise DataError(
                f"Folders lie in folders for more than {MOST_LEVELS} levels. Move the innermost pictures up.",
                private=f"For instance: {'/'.join(folders)[:300]}",
            )
        entries = self._entries(folders)
        if folders and not entries:
            self._leave_out(folders, EMPTY_FOLDER)
        for entry in entries:
            inside = (*folders, entry.name)
            if _is_of_a_system(entry):
                self._leave_out(inside, SYSTEM_FILE)
                continue
            real = above[-1] / entry.name
            if entry.is_symlink():
                real = self._check_link(entry, above)
            if entry.is_dir():
                yield from self._files(inside, (*above, real))
            else:
                yield Found("/".join(inside), folders)

    def _entries(self, folders: tuple[str, ...]) -> list[os.DirEntry[str]]:
        folder = self.root.joinpath(*folders)
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(
                "The picture folder cannot be read. Check its path and rights.", private=str(error)
            ) from error

    def _check_link(self, entry: os.DirEntry[str], above: tuple[Path, ...]) -> Path:
        """Where an entry leads to, which may be a link to something that nobody meant to publish."""
        there = Path(entry.path).resolve()
        if not there.is_relative_to(self._real):
            raise DataError(
                "A link leads outside the picture folder. Copy what it points to into the folder, or remove it.",
                private=f"Link: {entry.path}",
            )
        if there in above:
            raise DataError("A link leads to a folder that it lies in. Remove the link.", private=f"Link: {entry.path}")
        return there

    def _leave_out(self, inside: tuple[str, ...], reason: Reason) -> None:
        self.left_out.append(LeftOut("/".join(inside), reason, lost=False))


def _is_of_a_system(entry: os.DirEntry[str]) -> bool:
    name = entry.name.lower()
    if entry.is_dir():
        return name.startswith(".") or name in SYSTEM_FOLDERS or bool(_RECOVERED.fullmatch(name))
    return name.startswith(".") or name in SYSTEM_FILES
