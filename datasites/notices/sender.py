"""Sends notices in a thread of its own, each some times at most. Nobody waits for it, and its failures are counted."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Mapping

from datasites.audit_log.counted_events import CountedEvents
from datasites.notices import mail, webhook
from datasites.notices.notice import ToldOutside
from datasites.notices.settings import NoticeSettings
from policies.errors import NoticeNotSent

log = logging.getLogger(__name__)

MOST_WAITING = 200
PAUSES_SECONDS = (5.0, 60.0)  # between tries: one more try than pauses
Send = Callable[[NoticeSettings, ToldOutside], None]


def ways(settings: NoticeSettings) -> dict[str, Send]:
    """The ways out that the settings name."""
    named: Mapping[str, tuple[str, Send]] = {
        "mail": (settings.mail_host, mail.send),
        "webhook": (settings.webhook_url, webhook.send),
    }
    return {name: send for name, (where, send) in named.items() if where}


class NoticeSender:
    """Sends what it is given, one after the other.

    Guarantees:
        `put` returns at once, whatever becomes of the notice. At most `MOST_WAITING` wait; more are dropped, counted.
        Each try is bounded in time, and there is one more than `pauses` for each way.
    """

    def __init__(
        self, settings: NoticeSettings, counted: CountedEvents, *, pauses: tuple[float, ...] = PAUSES_SECONDS
    ) -> None:
        self._settings, self._counted, self._pauses = settings, counted, pauses
        self._ways = ways(settings)
        self._waiting: queue.Queue[ToldOutside | None] = queue.Queue(MOST_WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="notices", daemon=True)

    def start(self) -> None:
        """Begins to send, where there is a way."""
        if self._ways:
            self._thread.start()

    def stop(self) -> None:
        """Ends after the try that is under way; what still waits is not sent."""
        self._stopping.set()
        if self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(None)
            self._thread.join(2 * mail.TIMEOUT_SECONDS)

    def put(self, told: ToldOutside) -> None:
        """Gives a notice to be sent."""
        if not self._ways:
            return
        try:
            self._waiting.put_nowait(told)
        except queue.Full:
            self._counted.add("notice not sent", code="too many wait")

    def try_all(self, told: ToldOutside) -> dict[str, str]:
        """Sends at once, each way once; returns way → why it did not go out, empty where it did."""
        return {name: self._once(name, told) for name in self._ways}

    def _work(self) -> None:
        while not self._stopping.is_set():
            told = self._waiting.get()
            if told is None:
                return
            for name in self._ways:
                self._some_times(name, told)

    def _some_times(self, name: str, told: ToldOutside) -> None:
        for pause in self._pauses:
            if not self._once(name, told) or self._stopping.wait(pause):
                return
        if self._once(name, told):
            self._counted.add("notice not sent", code=name)

    def _once(self, name: str, told: ToldOutside) -> str:
        try:
            self._ways[name](self._settings, told)
        except NoticeNotSent as error:
            log.warning("a notice did not go out by %s: %s", name, error.private)
            return f"{error.public} {error.private}".strip()
        except Exception as error:  # a notice may never stop what it tells of
            log.exception("a notice did not go out by %s", name)
            return repr(error)
        self._counted.add("notice sent", code=name)
        return ""
