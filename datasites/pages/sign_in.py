"""Pages to come in by and to leave by: a password, a file that was handed over, or an address from the command line."""

from __future__ import annotations

from datasites.access.link_codes import LinkCodes
from datasites.access.sessions import Sessions
from datasites.access.signing_in.sign_in import SignIn
from datasites.console.console import READS
from datasites.pages.frame.forms import own_place
from datasites.pages.frame.reception import SIGN_IN
from datasites.pages.frame.views import Answer, Onward, Page, Pages
from datasites.pages.frame.visit import Visit
from policies.errors import ConfigError, SignInFailed

FIRST_PASSWORD = "/first-password"  # noqa: S105 - a path


def make_pages(sessions: Sessions, sign_in: SignIn, links: LinkCodes, *, has_provider: bool) -> Pages:
    """Sign in, set a first password, open by a link, sign out."""
    pages = Pages()

    def drawn(to: str, refused: str = "", status: int = 200) -> Page:
        values = {"to": to, "refused": refused, "has_provider": has_provider}
        return Page("account/sign-in.html.jinja", values, status)

    @pages.get(SIGN_IN)
    def show(visit: Visit) -> Answer:
        if visit.session:
            return Onward("/")
        return drawn(own_place(visit.query.get("to", "/")))

    @pages.post(SIGN_IN)
    def take(visit: Visit) -> Answer:
        form, to = visit.form, own_place(visit.form.get("to", "/"))
        try:
            person = sign_in.by_password(form.line("name"), form.get("password"), form.get("code"), peer=visit.peer)
        except SignInFailed as error:
            return drawn(to, visit.told(error), error.status)
        return Onward(to, session=_begun(sessions, visit, sessions.begin(person)))

    @pages.get(FIRST_PASSWORD)
    def show_first(visit: Visit) -> Answer:
        return Page("account/first-password.html.jinja", {"errors": {}})

    @pages.post(FIRST_PASSWORD)
    def take_first(visit: Visit) -> Answer:
        form, password = visit.form, visit.form.get("password")
        try:
            if password != form.get("again"):
                raise ConfigError(visit.gettext("The two passwords differ."))
            person = sign_in.first_password(form.line("name"), form.line("token"), password, peer=visit.peer)
        except (ConfigError, SignInFailed) as error:
            field = "token" if isinstance(error, SignInFailed) else "password"
            return Page("account/first-password.html.jinja", {"errors": {field: visit.told(error)}}, 422)
        return Onward("/", session=_begun(sessions, visit, sessions.begin(person)))

    @pages.get("/open")
    def show_link(visit: Visit) -> Answer:
        return Page("account/open.html.jinja", {"code": visit.query.get("code")})

    @pages.post("/open")
    def take_link(visit: Visit) -> Answer:
        person = links.take(visit.form.get("code"))
        identifier = sessions.begin(person)
        sign_in.by_link(person)
        return Onward("/", session=_begun(sessions, visit, identifier))

    @pages.post("/sign-out", READS)
    def leave(visit: Visit) -> Answer:
        sessions.end(visit.session_id)
        return Onward(SIGN_IN, session="")

    return pages


def _begun(sessions: Sessions, visit: Visit, identifier: str) -> str:
    """The new session's identifier; one that the browser had before has ended."""
    if visit.session_id:
        sessions.end(visit.session_id)
    return identifier
