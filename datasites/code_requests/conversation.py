"""Questions about a pending request and their answers. A question leaves the hospital, under no person's name.

The texts stay in the thread; the audit log has who wrote, and each text's digest.
"""

from __future__ import annotations

from typing import Protocol

from datasites.approvals.approvals import Approvals
from datasites.approvals.threads import Message
from datasites.audit_log.log import AuditLog
from policies.answers.requests import HOSPITAL, MOST_IN_A_MESSAGE, RESEARCHER, MessageAnswer, ThreadAnswer
from policies.errors import RequestError
from policies.plans.plan_json import sha256_text
from policies.validate import Checks

MOST_MESSAGES = 30
"""Of each side about one request."""
_checks = Checks(RequestError)


class States(Protocol):
    """Knows the states of requests."""

    def state_of(self, request_id: str) -> tuple[str, str]:
        """State and reason of the request with this whole identifier."""


class Conversation:
    """What hospital and researchers write to each other.

    Guarantees:
        Both write about a pending request only, the researcher only once something was asked; a message is one plain
        line of at most `MOST_IN_A_MESSAGE` characters, and a thread holds at most `MOST_MESSAGES` of each side.
        Of the hospital's people, what the researcher is told names none.
    """

    def __init__(self, states: States, approvals: Approvals, audit: AuditLog) -> None:
        self._states, self._threads, self._audit = states, approvals.threads, audit

    def ask(self, request_id: str, text: str, *, by: str) -> Message:
        """Keeps a question of the hospital's, which the researcher may read from now on.

        Args:
            request_id: The whole identifier.
            text: What is asked.
            by: Who asks.

        Raises:
            RequestError: The request is decided, the text is empty, too long or not plain, or too many were asked.
        """
        return self._add(request_id, text, author=by, side=HOSPITAL, event="question asked")

    def answer(self, request_id: str, text: str, *, by: str) -> Message:
        """Keeps a researcher's answer.

        Raises:
            RequestError: Nothing was asked; or as for `ask`.
        """
        if not self._threads.of(request_id):
            raise RequestError("The hospital has asked nothing about this request. Wait for its decision.")
        return self._add(request_id, text, author=by, side=RESEARCHER, event="question answered")

    def of(self, request_id: str) -> tuple[Message, ...]:
        """The thread of a request, for the hospital's people."""
        return self._threads.of(request_id)

    def waiting(self, request_id: str) -> int:
        """How many questions of a pending request have no answer yet."""
        return self._threads.unanswered(request_id) if self._states.state_of(request_id)[0] == "pending" else 0

    def told(self, request_id: str) -> ThreadAnswer:
        """The thread as its researcher may read it: whose side wrote what and when, and of the hospital no name."""
        messages = tuple(MessageAnswer(one.side, one.text, one.at[:19]) for one in self._threads.of(request_id))
        return ThreadAnswer(request_id, messages, self.waiting(request_id))

    def _add(self, request_id: str, text: str, *, author: str, side: str, event: str) -> Message:
        state, _ = self._states.state_of(request_id)
        if state != "pending":
            raise RequestError(f"The request is {state}: nothing is asked or answered about it any more.")
        if not text.strip():
            raise RequestError("The message is empty. Write what you want to say.")
        _checks.text("a message", text, most=MOST_IN_A_MESSAGE)
        message = self._threads.add(request_id, author=author, side=side, text=text, most=MOST_MESSAGES)
        if message is None:
            raise RequestError(f"{MOST_MESSAGES} messages stand in this thread from your side, and it takes no more.")
        self._audit.write(event, request=request_id, by=author, text=sha256_text(text))
        return message
