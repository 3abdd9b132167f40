"""The page about a person's own account: role, password, second factor. Nobody sees another one's."""

from __future__ import annotations

import io
from collections.abc import Mapping

import segno
from starlette.responses import Response

from datasites.access.sessions import Sessions
from datasites.access.signing_in import second_factor
from datasites.access.signing_in.own_account import OwnAccount
from datasites.console.console import READS
from datasites.pages.frame.views import Answer, Onward, Page, Pages
from datasites.pages.frame.visit import Visit
from policies.errors import ConfigError, PageUnknown, SignInFailed

ACCOUNT = "/account"


def make_pages(datasite: str, sessions: Sessions, account: OwnAccount) -> Pages:
    """The account, and changing it."""
    pages = Pages()
    view = _AccountView(datasite, sessions, account)
    pages.get(ACCOUNT, READS)(lambda visit: view.drawn(visit, {}))
    pages.post(f"{ACCOUNT}/password", READS)(view.change_password)
    pages.post(f"{ACCOUNT}/second-factor/begin", READS)(view.begin_second_factor)
    pages.get(f"{ACCOUNT}/second-factor.svg", READS)(view.picture)
    pages.post(f"{ACCOUNT}/second-factor", READS)(view.add_second_factor)
    pages.post(f"{ACCOUNT}/second-factor/remove", READS)(view.remove_second_factor)
    return pages


class _AccountView:
    """One page, and what its forms do."""

    def __init__(self, datasite: str, sessions: Sessions, account: OwnAccount) -> None:
        self._datasite, self._sessions, self._account = datasite, sessions, account

    def drawn(self, visit: Visit, errors: Mapping[str, str], status: int = 200) -> Page:
        """The page."""
        values = {"errors": errors, "has_second_factor": self._account.has_second_factor(visit.who)}
        return Page("account/own-account.html.jinja", values, status)

    def change_password(self, visit: Visit) -> Answer:
        """Sets another password."""
        form, new = visit.form, visit.form.get("new")
        if new != form.get("again"):
            return self.drawn(visit, {"again": visit.gettext("The two passwords differ.")}, 422)
        try:
            self._account.change_password(visit.who, form.get("password"), form.get("code"), new, peer=visit.peer)
        except (ConfigError, SignInFailed) as error:
            return self.drawn(visit, {"password" if isinstance(error, SignInFailed) else "new": visit.told(error)}, 422)
        return self._renewed(visit, visit.gettext("Your password has changed. You are signed out everywhere else."))

    def begin_second_factor(self, visit: Visit) -> Answer:
        """Shows a new secret until it is confirmed or the session ends."""
        visit.own_session.new_secret = second_factor.new_secret()
        return Onward(ACCOUNT)

    def picture(self, visit: Visit) -> Answer:
        """The secret as a picture for a device."""
        secret = visit.own_session.new_secret
        if not secret:
            raise PageUnknown("No second factor is being set up.")
        drawn = io.BytesIO()
        address = second_factor.device_address(secret, name=visit.who.name, datasite=self._datasite)
        segno.make(address, micro=False).save(drawn, kind="svg", scale=5, border=4, dark="#000", light="#fff")
        return Response(drawn.getvalue(), media_type="image/svg+xml")

    def add_second_factor(self, visit: Visit) -> Answer:
        """Confirms the secret by a code."""
        password, code = visit.form.get("setting_password"), visit.form.get("setting_code")
        try:
            secret = visit.own_session.new_secret
            self._account.add_second_factor(visit.who, password, secret, code, peer=visit.peer)
        except (ConfigError, SignInFailed) as error:
            wrong = "setting_password" if isinstance(error, SignInFailed) else "setting_code"
            return self.drawn(visit, {wrong: visit.told(error)}, 422)
        return self._renewed(visit, visit.gettext("From now on your sign-in takes a code of your device."))

    def remove_second_factor(self, visit: Visit) -> Answer:
        """Has sign-ins take no code any more."""
        password, code = visit.form.get("leaving_password"), visit.form.get("leaving_code")
        try:
            self._account.remove_second_factor(visit.who, password, code, peer=visit.peer)
        except SignInFailed as error:
            return self.drawn(visit, {"leaving_password": visit.told(error)}, 422)
        return self._renewed(visit, visit.gettext("Your sign-in takes no code any more."))

    def _renewed(self, visit: Visit, notice: str) -> Onward:
        """A new session: with the change the one before has ended."""
        return Onward(ACCOUNT, session=self._sessions.begin(visit.who, notice=notice))
