"""Keeps one person's approval of a request that needs several. Nothing crosses the boundary before the last one."""

from __future__ import annotations

from datasites.code_requests.books import Books
from policies.errors import NotAllowed


def consented(books: Books, request_id: str, digest: str, *, by: str, named: bool) -> tuple[str, ...] | None:
    """Keeps a consent to the card with that digest; returns who gave theirs once they suffice, else None.

    Raises:
        NotAllowed: Several approvals are needed, and `by` cannot give this one.
    """
    needed, consents = books.limits.current.approvals_needed, books.approvals.consents
    if needed > 1 and not named:
        raise NotAllowed(
            f"This dataset needs {needed} people's approvals, each by an own token. Make them accounts with "
            "'staff add' and let each approve with --as."
        )
    if outdated := consents.void_others(request_id, digest):
        books.audit.write("approvals voided", request=request_id, of=", ".join(outdated), digest=digest)
    if by in consents.of(request_id) and len(consents.of(request_id)) < needed:
        raise NotAllowed(f"{by} has approved this request already. It needs {needed} different people.")
    consents.add(request_id, person=by, digest=digest)
    people = consents.of(request_id)
    if len(people) < needed:
        books.audit.write(
            "request approved by one", request=request_id, by=by, given=len(people), needed=needed, digest=digest
        )
        return None
    return people
