"""All that answers on the console's port: the pages, one part after the other, and the command line's JSON."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import ASGIApp

from datasites.access.sessions import Sessions
from datasites.access.signing_in.openid import OpenId
from datasites.access.signing_in.own_account import OwnAccount
from datasites.access.signing_in.sign_in import SignIn
from datasites.access.throttle import SignInThrottle
from datasites.console.app import make_app
from datasites.console.console import PREFIX, Console
from datasites.pages import datasets, openid_sign_in, overview, own_account, own_files, preferences, sign_in
from datasites.pages.daily.pages import make_daily_pages, signs_for
from datasites.pages.decisions import pages as decisions
from datasites.pages.frame.reception import Reception
from datasites.pages.frame.routing import ByPath, pages_app
from datasites.pages.languages.languages import read_languages
from datasites.web.request_bounds import OWN_PAGES, RequestBounds

# What the console is asked for as where it has no certificate: it then listens on loopback only.
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def make_pages_and_api(
    console: Console,
    sessions: Sessions,
    throttle: SignInThrottle,
    *,
    tls_names: Sequence[str] = (),
    openid: OpenId | None = None,
) -> ASGIApp:
    """The app for the console's port, closed to whoever asks for another host than its own.

    Args:
        console: Its parts.
        sessions: Who is signed in.
        throttle: Who has to wait with signing in.
        tls_names: The hosts that its certificate is for; empty without TLS, on loopback.
        openid: The hospital's own provider of sign-ins; None where it has none.
    """
    books = console.books
    entrance = SignIn(console.staff, books.audit, books.counted, throttle)
    parts = (
        own_files.make_pages(),
        preferences.make_pages(tuple(read_languages())),
        sign_in.make_pages(sessions, entrance, console.links, has_provider=openid is not None),
        *([openid_sign_in.make_pages(openid, sessions, entrance)] if openid else []),
        overview.make_pages(lambda: overview.overview_of(console)),
        *decisions.make_pages(console),
        datasets.make_pages_of(console),
        *make_daily_pages(console, sessions),
        own_account.make_pages(console.name, sessions, OwnAccount(console.staff, entrance, books.audit)),
    )
    reception = Reception(
        console.name,
        sessions=sessions,
        counted=books.counted,
        secure=bool(tls_names),
        parts=parts,
        signs=lambda person: signs_for(console, person),
    )
    both = ByPath(PREFIX, api=make_app(console), pages=pages_app(reception, parts))
    return RequestBounds(both, hosts=tls_names or LOOPBACK, limits=(), content_policy=OWN_PAGES)
