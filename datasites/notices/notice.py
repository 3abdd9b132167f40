"""A notice, and the little of it that is told outside of the console: kind, datasite, request and link.

A mail server and a webhook are not the console: no count, file, class, account, dataset or reason is told there.
"""

from __future__ import annotations

from dataclasses import dataclass

NEW_REQUEST, ANSWERED, RUN_FAILED = "new request", "question answered", "run failed"
BY_RULE, BEHIND = "approved by a rule", "books behind"
LOW_BUDGET, CERTIFICATE, DISK, DOCTOR, TEST = "low budget", "certificate ends soon", "disk low", "doctor", "test"
KINDS = (NEW_REQUEST, ANSWERED, BY_RULE, RUN_FAILED, BEHIND, LOW_BUDGET, CERTIFICATE, DISK, DOCTOR, TEST)
OF_A_REQUEST = (NEW_REQUEST, ANSWERED, BY_RULE, RUN_FAILED)
# Events of the audit log that are worth a notice → its kind. Each names its request.
OF_EVENTS = {"question answered": ANSWERED, "run failed": RUN_FAILED, "books behind": BEHIND}


@dataclass(frozen=True)
class Notice:
    """One notice, for the console.

    Attributes:
        id: Higher for a later one.
        kind: One of `KINDS`.
        about: What it is about: a request's identifier, a dataset, an account; of the hospital's own.
        text: What was found, for the hospital's own people.
        at: When, UTC.
    """

    id: int
    kind: str
    about: str
    text: str
    at: str


@dataclass(frozen=True)
class ToldOutside:
    """All that a mail or a post says.

    Attributes:
        kind: One of `KINDS`.
        datasite: The datasite's name.
        request: The first characters of a request's identifier; empty where it is about none.
        link: Where the console is.
    """

    kind: str
    datasite: str
    request: str
    link: str


def told_outside(notice: Notice, datasite: str, link: str) -> ToldOutside:
    """What may be told of a notice outside of the console.

    Guarantees:
        It holds nothing of the notice but its kind and, where it is about a request, 8 characters of that request's
        identifier.
    """
    return ToldOutside(notice.kind, datasite, notice.about[:8] if notice.kind in OF_A_REQUEST else "", link)
