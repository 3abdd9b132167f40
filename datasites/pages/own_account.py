"""The page about a person's own account: role, password, second factor. Nobody sees another one's."""

from __future__ import annotations

import io

import segno
from starlette.responses import Response

from datasites.access import second_factor
from datasites.access.own_account import OwnAccount
from datasites.access.sessions import Sessions
from datasites.console.console import READS
from datasites.pages.frame.views import Answer, Onward, Page, Pages
from datasites.pages.frame.visit import Visit
from policies.errors import ConfigError, PageUnknown, SignInFailed

ACCOUNT = "/account"


def make_pages(datasite: str, sessions: Sessions, account: OwnAccount) -> Pages:
    """The account, and changing it."""
    pages = Pages()

    def drawn(visit: Visit, errors: dict[str, str], status: int = 200) -> Page:
        values = {"errors": errors, "has_second_factor": account.has_second_factor(visit.who)}
        return Page("account/own-account.html.jinja", values, status)

    def renewed(visit: Visit, notice: str) -> Onward:
        """A new session: with the change the one before has ended."""
        return Onward(ACCOUNT, session=sessions.begin(visit.who, notice=notice))

    @pages.get(ACCOUNT, READS)
    def show(visit: Visit) -> Answer:
        return drawn(visit, {})

    @pages.post(f"{ACCOUNT}/password", READS)
    def change(visit: Visit) -> Answer:
        form, new = visit.form, visit.form.get("new")
        if new != form.get("again"):
            return drawn(visit, {"again": visit.gettext("The two passwords differ.")}, 422)
        try:
            account.change_password(visit.who, form.get("password"), form.get("code"), new, peer=visit.peer)
        except (ConfigError, SignInFailed) as error:
            return drawn(visit, {"password" if isinstance(error, SignInFailed) else "new": error.public}, 422)
        return renewed(visit, visit.gettext("Your password has changed. You are signed out everywhere else."))

    @pages.post(f"{ACCOUNT}/second-factor/begin", READS)
    def begin(visit: Visit) -> Answer:
        visit.own_session.new_secret = second_factor.new_secret()
        return Onward(ACCOUNT)

    @pages.get(f"{ACCOUNT}/second-factor.svg", READS)
    def picture(visit: Visit) -> Answer:
        secret = visit.own_session.new_secret
        if not secret:
            raise PageUnknown("No second factor is being set up.")
        drawn = io.BytesIO()
        address = second_factor.device_address(secret, name=visit.who.name, datasite=datasite)
        segno.make(address, micro=False).save(drawn, kind="svg", scale=5, border=4, dark="#000", light="#fff")
        return Response(drawn.getvalue(), media_type="image/svg+xml")

    @pages.post(f"{ACCOUNT}/second-factor", READS)
    def add(visit: Visit) -> Answer:
        form, secret = visit.form, visit.own_session.new_secret
        try:
            account.add_second_factor(
                visit.who, form.get("setting_password"), secret, form.get("setting_code"), peer=visit.peer
            )
        except (ConfigError, SignInFailed) as error:
            wrong = "setting_password" if isinstance(error, SignInFailed) else "setting_code"
            return drawn(visit, {wrong: error.public}, 422)
        return renewed(visit, visit.gettext("From now on your sign-in takes a code of your device."))

    @pages.post(f"{ACCOUNT}/second-factor/remove", READS)
    def remove(visit: Visit) -> Answer:
        form = visit.form
        try:
            account.remove_second_factor(
                visit.who, form.get("leaving_password"), form.get("leaving_code"), peer=visit.peer
            )
        except SignInFailed as error:
            return drawn(visit, {"leaving_password": error.public}, 422)
        return renewed(visit, visit.gettext("Your sign-in takes no code any more."))

    return pages
