"""The console of a running datasite, opened from its rooms. It never leaves the hospital."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from datasites.access.sessions import Sessions
from datasites.access.throttle import SignInThrottle
from datasites.console.console import Console
from datasites.pages.app import make_pages_and_api

if TYPE_CHECKING:
    from datasites.access.access import Access
    from datasites.access.accounts import Accounts
    from datasites.assets.published import PublishedDataset
    from datasites.code_requests.books import Books
    from datasites.code_requests.requests import RequestBook
    from datasites.config import DatasiteConfig
    from datasites.runs.runs import Runs


def open_console(
    config: DatasiteConfig,
    *,
    access: Access,
    accounts: Accounts,
    datasets: Mapping[str, PublishedDataset],
    books: Books,
    book: RequestBook,
    runs: Runs,
) -> ASGIApp:
    """The console of the datasite with these settings, closed to whoever asks for another host than loopback."""
    console = Console(
        name=config.name,
        staff=access.staff,
        datasets=datasets,
        source=config.dataset,
        books=books,
        book=book,
        accounts=accounts,
        queue=runs.queue,
        supervisor=runs.supervisor,
        url=lambda: access.console_url,
    )
    sessions = Sessions(
        access.staff,
        idle_seconds=60 * config.console_idle_minutes,
        longest_seconds=3600 * config.console_session_hours,
    )
    return make_pages_and_api(console, sessions, SignInThrottle())
