"""A book's head: a small file that says how long the book is and how it ends. It stays in the hospital.

A chain of hashes shows every edit, but not that its end was cut off. The head does. It is written twice for each entry:
before, announcing the entry's hash, and after, counting it. So a crash leaves an entry that was announced, written or
not, and never one that nobody can tell from a forged one.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from policies.ledger.chain_errors import is_not_read
from policies.ledger.seal import Seal
from policies.plans.plan_json import canonical_json

GENESIS = "0" * 64
RECORD_BYTES = 512  # written in place, within one sector of a disk


class HeadBroken(ValueError):
    """A head cannot be read, or was not written by this datasite. The book turns it into its own error."""


@dataclass(frozen=True)
class Head:
    """How many entries a book has, the last one's hash, and the hash of the one that is being written, if any."""

    count: int = 0
    hash: str = GENESIS
    announced: str = ""

    def ends(self, count: int, last: str, before_last: str) -> bool:
        """Whether a book of `count` entries with these last two hashes is the one that this head is of.

        It is, too, with one more entry if that was announced: its writer was stopped before it could count it.
        """
        if count == self.count:
            return last == self.hash
        return count == self.count + 1 and (before_last, last) == (self.hash, self.announced)


class HeadFile:
    """The file of one book's head.

    Args:
        path: The file.
        book: The book's name; a head of one book is none of another.
        seal: The datasite's seal; None for books from before state version 2, whose heads have none.
    """

    def __init__(self, path: Path, book: str, seal: Seal | None) -> None:
        self.path, self._book, self._seal = path, book, seal

    def begin(self, head: Head | None = None) -> None:
        """Makes the file, mode 0600.

        Raises:
            OSError: It exists, or cannot be written.
        """
        os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self.write(head or Head())
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def read(self) -> Head:
        """The head as it was last written.

        Guarantees:
            With a seal, a head is returned only if this datasite wrote it for this book. Without one, a sealed head is
            refused, so that leaving the seal out never weakens a book.

        Raises:
            HeadBroken: The file is missing, may not be read, or was written by somebody else.
            OSError: It cannot be read now, which says nothing of it.
        """
        try:
            values = json.loads(self.path.read_text())
            mark = values.pop("seal", None)
            head = Head(count=int(values["count"]), hash=str(values["hash"]), announced=values.get("announced", ""))
        except (OSError, LookupError, ValueError, TypeError, AttributeError) as error:
            if is_not_read(error):
                raise
            raise HeadBroken(f"{self.path.name} cannot be read ({error!r})") from error
        if self._seal is None:
            if mark is not None:
                raise HeadBroken(f"{self.path.name} is sealed, and the identity knows of no sealed books")
        elif not self._seal.fits(mark, self._book, values):
            raise HeadBroken(f"{self.path.name} was not written by this datasite: its seal does not fit")
        return head

    def write(self, head: Head, *, sync: bool = True) -> None:
        """Puts `head` in the old one's place.

        Args:
            head: What it says now.
            sync: Whether it is on disk when this returns. Counting an entry that was announced can do without: what
                a loss of power leaves is the announcement.

        Raises:
            OSError: The file is missing, or the disk takes nothing.
        """
        values = {"count": head.count, "hash": head.hash, "announced": head.announced}
        mark = {} if self._seal is None else {"seal": self._seal.mark(self._book, values)}
        record = canonical_json({**values, **mark}).encode().ljust(RECORD_BYTES - 1) + b"\n"
        descriptor = os.open(self.path, os.O_WRONLY)
        try:
            written = 0
            while written < len(record):
                written += os.pwrite(descriptor, record[written:], written)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
