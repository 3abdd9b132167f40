"""From a browser's request to a page: who comes, whether they may, what is answered, and errors that are pages too.

Nothing of an error but its public text is on a page; its private text and a traceback stand in the hospital's log.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from datasites.access.sessions import Session, Sessions
from datasites.access.staff import Person
from datasites.audit_log.counted_events import CountedEvents
from datasites.pages.frame.cookies import CookieJar
from datasites.pages.frame.forms import Form, FormTokens, own_origin, read_fields, read_form
from datasites.pages.frame.templates import Templates
from datasites.pages.frame.views import Answer, Onward, Page, Pages, Place, Route, Signs
from datasites.pages.frame.visit import THEMES, Visit
from datasites.pages.languages.languages import Language, preferred, read_languages
from datasites.web.served_path import served_path
from policies.errors import StorageUnavailable, WanwuError

log = logging.getLogger(__name__)
SIGN_IN = "/sign-in"


class Reception:
    """Answers every request for a page.

    Guarantees:
        A page that names roles is made for nobody else; a form reaches its function only from a page that was made for
        the same session. What is refused changes nothing.

    Args:
        name: The datasite's.
        sessions: Who is signed in.
        counted: Told of every refusal.
        secure: Whether browsers come by TLS.
        parts: All pages.
        signs: What the head of each page tells a person; None for nothing.
    """

    def __init__(
        self,
        name: str,
        *,
        sessions: Sessions,
        counted: CountedEvents,
        secure: bool,
        parts: Sequence[Pages],
        signs: Callable[[Person], Signs | None] = lambda person: None,
    ) -> None:
        self._name, self._sessions, self._counted, self._signs = name, sessions, counted, signs
        self._languages: Mapping[str, Language] = read_languages()
        self._templates = Templates(self._languages)
        self._cookies = CookieJar(name, secure=secure)
        self._tokens = FormTokens(secrets.token_bytes(32))
        self._places: tuple[Place, ...] = tuple(place for part in parts for place in part.places)

    async def answer(self, request: Request, route: Route) -> Response:
        """The answer of one route."""
        try:
            form = await read_form(request) if route.method == "POST" else Form()
        except WanwuError as error:
            return await self.refuse(request, error)
        return await run_in_threadpool(self._answer, request, route, form)

    async def refuse(self, request: Request, error: WanwuError) -> Response:
        """The page of an error that came before any route's function."""
        return await run_in_threadpool(self._refuse, request, error)

    def _answer(self, request: Request, route: Route, form: Form) -> Response:
        visit = self._visit(request, form, used=not route.by_itself)
        try:
            answer = self._worked(request, route, visit)
        except WanwuError as error:
            answer = self._error_page(request, error)
        except (OSError, sqlite3.OperationalError):
            log.exception("%s %s", request.method, served_path(request.scope))
            answer = self._error_page(
                request, StorageUnavailable("The hospital's disk does not take what this needs. Nothing was changed.")
            )
        except Exception:
            log.exception("%s %s", request.method, served_path(request.scope))
            answer = _failed()
        return self._response(visit, answer)

    def _worked(self, request: Request, route: Route, visit: Visit) -> Answer:
        if route.roles and visit.session is None:
            wanted = quote(visit.path, safe="/") if route.method == "GET" else "/"
            return Onward(f"{SIGN_IN}?to={wanted}")
        if route.method == "POST":
            self._tokens.check(request, visit.form, visit.session_id or visit.browser)
        if route.roles:
            visit.who.must_be(*route.roles)
        return route.view(visit)

    def _refuse(self, request: Request, error: WanwuError) -> Response:
        return self._response(self._visit(request, Form()), self._error_page(request, error))

    def _visit(self, request: Request, form: Form, *, used: bool = True) -> Visit:
        identifier = self._cookies.session(request)
        session = self._sessions.find(identifier, used=used) if identifier else None
        browser = self._cookies.browser(request)
        theme = self._cookies.choice(request, "theme")
        return Visit(
            origin=own_origin(request),
            path=served_path(request.scope),
            params=request.path_params,
            query=_query(request),
            form=form,
            peer=request.client.host if request.client else "",
            session=session,
            session_id=identifier if session else "",
            browser=browser,
            form_token=self._tokens.of(identifier if session else browser),
            language=preferred(
                self._languages,
                self._cookies.choice(request, "language"),
                request.headers.get("accept-language", ""),
            ),
            theme=theme if theme in THEMES else THEMES[0],
        )

    def _response(self, visit: Visit, answer: Answer) -> Response:
        if isinstance(answer, Response):
            return answer
        if isinstance(answer, Onward):
            if answer.notice and visit.session:
                visit.session.tell(answer.notice)
            sent_on = RedirectResponse(answer.path, status_code=HTTPStatus.SEE_OTHER)
            self._cookies.keep(sent_on, answer)
            return sent_on
        try:
            response = self._rendered(visit, answer)
        except Exception:
            log.exception("%s cannot be drawn", visit.path)
            response = self._rendered(visit, _failed())
        return response

    def _rendered(self, visit: Visit, page: Page) -> Response:
        role = visit.session.person.role if visit.session else ""
        text = self._templates.render(
            visit.language,
            page.template,
            {
                "visit": visit,
                "console_name": self._name,
                "places": [place for place in self._places if role in place.roles],
                "languages": self._languages.values(),
                "themes": THEMES,
                "notices": visit.session.take_notices() if visit.session else (),
                "signs": self._signs_of(visit.session),
                **page.values,
            },
        )
        response = HTMLResponse(text, status_code=page.status, headers={"content-language": visit.language.tag})
        self._cookies.keep_browser(response, visit)
        return response

    def _signs_of(self, session: Session | None) -> Signs | None:
        """None where there are none to tell: a page does not fail because of its head."""
        try:
            return self._signs(session.person) if session else None
        except sqlite3.Error:
            log.exception("the head of a page cannot be told")
            return None

    def _error_page(self, request: Request, error: WanwuError) -> Page:
        if error.private:
            log.warning("%s %s: %s", request.method, served_path(request.scope), error.private)
        self._counted.add("console's page refused", code=error.code)
        return Page(
            "error.html.jinja", {"code": error.code, "text": error.public, "status": error.status}, error.status
        )


def _failed() -> Page:
    return Page("error.html.jinja", {"code": WanwuError.code, "text": "", "status": 500}, 500)


def _query(request: Request) -> Form:
    try:
        return read_fields(bytes(request.scope["query_string"]))
    except WanwuError:
        return Form()
