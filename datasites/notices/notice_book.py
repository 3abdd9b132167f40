"""The table of notices, and how far each of the hospital's people has read. It stays in the hospital."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from datasites.files.sqlite_file import open_private
from datasites.notices.notice import Notice

MOST_KEPT = 10_000
MOST_ON_A_PAGE = 200
_SCHEMA = (Path(__file__).parent / "notices.sql").read_text()


@dataclass(frozen=True)
class NoticePage:
    """Some notices, the newest first.

    Attributes:
        notices: The notices.
        next: What to ask for the older ones with; None where there are none.
        unread: How many notices in all this person has not read.
        read_up_to: The newest notice that this person has read.
    """

    notices: tuple[Notice, ...]
    next: int | None
    unread: int
    read_up_to: int


class NoticeBook:
    """The notices of one datasite: at most `MOST_KEPT`."""

    def __init__(self, path: Path) -> None:
        self._connection = open_private(path, _SCHEMA)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()

    def add(self, kind: str, about: str, text: str) -> Notice:
        """Keeps a notice."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._lock:
            values = (kind, about, text, now)
            made = self._connection.execute("INSERT INTO notices VALUES (NULL,?,?,?,?)", values).lastrowid or 0
            self._connection.execute("DELETE FROM notices WHERE id <= ?", (made - MOST_KEPT,))
        return Notice(made, *values)

    def found(self, kind: str, texts: Mapping[str, str]) -> tuple[Notice, ...]:
        """Keeps what holds now of a kind; returns a notice for each that did not hold when it was last asked.

        Args:
            kind: Of the notices.
            texts: What it is about → what was found.
        """
        with self._lock:
            rows = self._connection.execute("SELECT about FROM standing WHERE kind=?", (kind,)).fetchall()
            known = {row[0] for row in rows}
            gone = [(kind, about) for about in known - set(texts)]
            self._connection.executemany("DELETE FROM standing WHERE kind=? AND about=?", gone)
            new = [about for about in texts if about not in known]
            self._connection.executemany("INSERT INTO standing VALUES (?,?)", [(kind, about) for about in new])
        return tuple(self.add(kind, about, texts[about]) for about in new)

    def standing(self) -> tuple[tuple[str, str], ...]:
        """What holds now, as far as somebody looked: kind, and what it is about."""
        with self._lock:
            return tuple(self._connection.execute("SELECT kind, about FROM standing ORDER BY kind, about").fetchall())

    def unread(self, person: str) -> int:
        """How many notices a person has not read."""
        with self._lock:
            return self._unread(self._read_up_to(person))

    def page(self, person: str, *, after: int | None = None, count: int = 50) -> NoticePage:
        """Notices that are older than `after`, at most `count` of them, the newest first."""
        count = max(1, min(count, MOST_ON_A_PAGE))
        with self._lock:
            rows = self._connection.execute(
                "SELECT * FROM notices WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2", (after, count + 1)
            ).fetchall()
            read_up_to = self._read_up_to(person)
            unread = self._unread(read_up_to)
        notices = tuple(Notice(*row) for row in rows[:count])
        return NoticePage(notices, notices[-1].id if len(rows) > count else None, unread, read_up_to)

    def read(self, person: str, up_to: int) -> None:
        """Notes that a person has read all notices up to this one."""
        with self._lock:
            self._connection.execute(
                "INSERT INTO readers SELECT ?1, coalesce(max(id), 0) FROM notices WHERE id <= ?2"
                " ON CONFLICT (person) DO UPDATE SET notice = max(notice, excluded.notice)",
                (person, up_to),
            )

    def _read_up_to(self, person: str) -> int:
        read = self._connection.execute("SELECT notice FROM readers WHERE person=?", (person,)).fetchone()
        return int(read[0]) if read else 0

    def _unread(self, read_up_to: int) -> int:
        newer = "SELECT count(*) FROM notices WHERE id > ?"
        return int(self._connection.execute(newer, (read_up_to,)).fetchone()[0])
