"""Coming in by the hospital's own OpenID Connect provider: away to it, and back."""

from __future__ import annotations

import html
from urllib.parse import urlencode

from starlette.responses import HTMLResponse, RedirectResponse

from datasites.access.sessions import Sessions
from datasites.access.signing_in.openid import OpenId
from datasites.access.signing_in.sign_in import SignIn
from datasites.pages.frame.views import Answer, Onward, Pages
from datasites.pages.frame.visit import Visit

BACK = "/openid/back"
FINISH = "/openid/finish"


def make_pages(openid: OpenId, sessions: Sessions, sign_in: SignIn) -> Pages:
    """Go, come back, be signed in."""
    pages = Pages()

    @pages.get("/openid/begin")
    def begin(visit: Visit) -> Answer:
        return RedirectResponse(openid.begin(visit.browser, f"{visit.origin}{BACK}"), status_code=303)

    @pages.get(BACK)
    def back(visit: Visit) -> Answer:
        """Browsers send no cookie of ours with what another site sent them to: this page leads to one of our own."""
        given = urlencode({name: visit.query.get(name) for name in ("state", "code")})
        target, text = html.escape(f"{FINISH}?{given}"), html.escape(visit.gettext("Continue to the console"))
        return HTMLResponse(
            f'<!doctype html><html lang="{visit.language.tag}"><meta charset="utf-8"><title>{text}</title>'
            f'<meta http-equiv="refresh" content="0;url={target}">'
            f'<main><h1><a href="{target}">{text}</a></h1></main></html>'
        )

    @pages.get(FINISH)
    def finish(visit: Visit) -> Answer:
        person = sign_in.by_provider(openid.finish(visit.query.get("state"), visit.query.get("code"), visit.browser))
        if visit.session_id:
            sessions.end(visit.session_id)
        return Onward("/", session=sessions.begin(person))

    return pages
