"""Class folders whose files are all no pictures that are read: a class that would be gone, and nobody would see it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from datasites.picture_files.picture_refused import Reason
from datasites.sources.folders.levels import one_form
from policies.errors import DataError


class WithoutPicture:
    """Folders at the level of the classes, each with one of its files that is no picture that is read.

    Args:
        place: Which of a file's folders, from the outermost, is the class's.
    """

    def __init__(self, place: int) -> None:
        self._place = place
        self._found: dict[str, tuple[str, Reason]] = {}

    def add(self, inside: str, reason: Reason) -> None:
        """Takes a file that is left out, by its path with '/' between folders."""
        folders: Sequence[str] = inside.split("/")[:-1]
        if len(folders) > self._place:
            self._found.setdefault(one_form(folders[self._place]), (inside, reason))

    def refuse(self, with_pictures: Collection[str], given: Sequence[str] = ()) -> None:
        """Refuses folders of which no file is read.

        Args:
            with_pictures: Names of the class folders that a picture is read from.
            given: The classes, where they are declared: other folders are none then.

        Raises:
            DataError: There is such a folder. Its name is private.
        """
        for name, (inside, reason) in sorted(self._found.items()):
            if name not in with_pictures and (not given or name in given):
                raise DataError(
                    "A class folder holds files, and none of them is a picture that is read. "
                    f"{reason.advice} If it is no class, move it out of the folder.",
                    private=f"Folder {name}, for instance {inside}: {reason.means}",
                )
