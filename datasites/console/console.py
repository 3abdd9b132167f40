"""The console's parts and its roles: each call carries a person's token, each route names the roles that may use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from datasites.access.link_codes import LinkCodes
from datasites.access.people import ADMIN, AUDITOR, REVIEWER
from datasites.access.staff import Person, Staff
from datasites.console.answers import RecordAnswer
from datasites.review.page import signed_page
from datasites.review.record import record_of
from datasites.review.review import Review
from datasites.review.reviewing import review_of
from policies.answers.plain_values import to_plain
from policies.ledger.receipt import public_key

if TYPE_CHECKING:
    from datasites.access.accounts import Accounts
    from datasites.assets.published import PublishedDataset
    from datasites.code_requests.books import Books
    from datasites.code_requests.requests import RequestBook
    from datasites.config import DatasiteConfig
    from datasites.notices.notices import Notices
    from datasites.rules.rules import Rules
    from datasites.runs.queue import RunQueue
    from datasites.runs.supervisor import Supervisor
    from datasites.sources.dataset_settings import DatasetSettings

PREFIX = "/admin/v1"
CHANGES, DECIDES, READS, AUDITS = (ADMIN,), (ADMIN, REVIEWER), (ADMIN, REVIEWER, AUDITOR), (ADMIN, AUDITOR)


def router_below(path: str = "") -> APIRouter:
    """A router whose routes have the API's prefix and this path before their own."""
    return APIRouter(prefix=PREFIX + path)


@dataclass(frozen=True)
class Console:
    """The parts of a running datasite that its people see and change."""

    name: str
    staff: Staff
    datasets: Mapping[str, PublishedDataset]
    source: DatasetSettings
    books: Books
    book: RequestBook
    accounts: Accounts
    queue: RunQueue
    supervisor: Supervisor
    notices: Notices
    rules: Rules
    elsewhere: Path  # the folder of what other hospitals decided
    config: DatasiteConfig
    url: Callable[[], str]
    signing_seed: bytes = field(repr=False)
    links: LinkCodes = field(default_factory=LinkCodes)
    study_reports: Path | None = None  # the folder of those that are kept

    def review(self, request_id: str, *, viewer: str = "") -> Review:
        """The review of one request, as one of the hospital's people sees it; raises as `review_of`."""
        return self._review(request_id, viewer=viewer, elsewhere=self.elsewhere)

    def record(self, request_id: str, language: str) -> RecordAnswer:
        """The record of the decision on a request, in a language; raises as `record_of` and `signed_page`."""
        key = public_key(self.signing_seed)
        review = self._review(request_id)
        record = record_of(review, self.books, datasite=self.name, public_key=key, language=language)
        hashes = tuple(one.hash for one in record.ledger)
        return RecordAnswer(
            record.review.id, signed_page(record, self.signing_seed), key, record.decided_digest, hashes
        )

    def _review(self, request_id: str, *, viewer: str = "", elsewhere: Path | None = None) -> Review:
        since = self.accounts.enrolled_since
        return review_of(
            request_id, book=self.book, books=self.books, enrolled_since=since, viewer=viewer, elsewhere=elsewhere
        )

    async def answer(self, request: Request, roles: Sequence[str], work: Callable[[Person], object]) -> JSONResponse:
        """Does the work for the person whose token the request carries.

        Guarantees:
            Nothing is read or changed before the token is known and its person has one of `roles`.

        Raises:
            WanwuError: The token is nobody's, the person's role is another, or what the work was refused with.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        person = self.staff.of_token(token if scheme == "Bearer" else "")
        person.must_be(*roles)
        return JSONResponse(to_plain(await run_in_threadpool(work, person)))
