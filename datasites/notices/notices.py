"""The room of notices, opened: it hears of events, looks around at times, keeps what it finds, and has it sent."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping

from datasites.access.people import ResearcherRow
from datasites.assets.published import PublishedDataset
from datasites.audit_log.chain import Detail
from datasites.code_requests.books import Books
from datasites.config import DatasiteConfig
from datasites.doctor.latest_examination import Examination
from datasites.files.state_folder import StateFolder
from datasites.notices.notice import BEHIND, BY_RULE, DOCTOR, NEW_REQUEST, OF_EVENTS, TEST, Notice, told_outside
from datasites.notices.notice_book import NoticeBook
from datasites.notices.sender import NoticeSender
from datasites.notices.watch import Found, Watch

log = logging.getLogger(__name__)

FIRST_LOOK_SECONDS, LOOK_SECONDS = 30.0, 600.0  # after the start, when the first runs are under way; then each
DOCTOR_EVERY_SECONDS = 6 * 3600.0
_TEXTS = {
    "question answered": "The researcher answered.",
    "run failed": "A run failed; 'runs' says why.",
    BEHIND: "A receipt of this datasite states a round that its ledger lacks: an older copy of the state folder was "
    "put in place. Nothing runs and nothing is charged; 'doctor' says what to do.",
}


class Notices:
    """The notices of one datasite.

    Guarantees:
        What it is told of never fails or waits because of a notice.

    Attributes:
        book: The table, for the console.
        doctor: What the doctor found last.
        looked: Whether what is worth a notice was looked for since the datasite started.
    """

    def __init__(self, state: StateFolder, config: DatasiteConfig, watch: Watch) -> None:
        self.book = NoticeBook(state.notices)
        self._name, self._settings, self._watch = config.name, config.notices, watch
        self.doctor, self.looked = watch.doctor, False
        self._sender = NoticeSender(config.notices, watch.books.counted)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look_around, name="notices' watch", daemon=True)

    def start(self) -> None:
        """Begins to look around and to send."""
        self._watch.books.audit.on_event(self.heard)
        self._sender.start()
        self._thread.start()

    def stop(self) -> None:
        """Ends both, and closes the table."""
        self._stopping.set()
        self._sender.stop()
        if self._thread.is_alive():
            self._thread.join()
        self.book.close()

    def arrived(self, request_id: str) -> None:
        """A request was submitted and is kept."""
        self._keep(NEW_REQUEST, {request_id: "A new request waits for a decision."})

    def heard(self, event: str, details: Mapping[str, Detail]) -> None:
        """An event was written to the audit log."""
        if event in OF_EVENTS:
            self._keep(OF_EVENTS[event], {str(details.get("request", "")): _TEXTS[event]})
            if event == BEHIND:
                self.look_now()
        elif event == "request approved" and "rule" in details:
            told = f"Rule '{details['rule']}' approved it, in the version {details.get('rule_version')}."
            self._keep(BY_RULE, {str(details.get("request", "")): told})

    def found(self, kind: str, texts: Found) -> None:
        """What holds now of a kind."""
        try:
            self._send(self.book.found(kind, texts))
        except sqlite3.Error:
            log.exception("a notice could not be kept")

    def look_now(self) -> None:
        """Has the doctor look, and looks for all else that is worth a notice, in a thread of its own."""
        self.doctor.begin(then=self._found_by_hand)

    def test(self) -> dict[str, str]:
        """Sends a test by each way; returns way → why it did not go out, empty where it did."""
        notice = self.book.add(TEST, "", "Somebody tried whether notices go out.")
        return self._sender.try_all(told_outside(notice, self._name, self._settings.link))

    def _keep(self, kind: str, texts: Found) -> None:
        try:
            self._send(tuple(self.book.add(kind, about, text) for about, text in texts.items()))
        except sqlite3.Error:
            log.exception("a notice could not be kept")

    def _send(self, notices: tuple[Notice, ...]) -> None:
        for notice in notices:
            self._sender.put(told_outside(notice, self._name, self._settings.link))

    def _found_by_hand(self, made: Examination) -> None:
        try:
            self._found_all({**self._watch.look(), DOCTOR: made.problems})
        except Exception:
            log.exception("what is worth a notice could not be looked at")

    def _found_all(self, found: Mapping[str, Found]) -> None:
        for kind, texts in found.items():
            self.found(kind, texts)
        self.looked = True

    def _look_around(self) -> None:
        asked, pause = time.monotonic() - DOCTOR_EVERY_SECONDS, FIRST_LOOK_SECONDS
        while not self._stopping.wait(pause):
            pause = LOOK_SECONDS
            try:
                found = self._watch.look()
                if time.monotonic() - asked > DOCTOR_EVERY_SECONDS:
                    asked = time.monotonic()
                    found |= self._watch.ask_the_doctor()
            except Exception:
                log.exception("what is worth a notice could not be looked at")
                continue
            self._found_all(found)


def open_notices(
    state: StateFolder,
    config: DatasiteConfig,
    books: Books,
    datasets: Mapping[str, PublishedDataset],
    people: Callable[[], list[ResearcherRow]],
) -> Notices:
    """The notices of a datasite that serves; see `Watch` for what it looks at."""
    return Notices(state, config, Watch(state, config, books, datasets, people))
