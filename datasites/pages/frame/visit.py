"""One visit to one page: who comes, with what, in which language. A page's function is told of nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from datasites.access.sessions import Session
from datasites.access.staff import Person
from datasites.pages.frame.forms import Form
from datasites.pages.languages.languages import Language
from policies.errors import SignInFailed, WanwuError

THEMES = ("auto", "light", "dark")


@dataclass(frozen=True)
class Visit:
    """One visit.

    Attributes:
        origin: Scheme, host and port that the browser asked for.
        path: The page's path.
        params: What stands in the path where its route has a name in braces.
        query: What stands behind the question mark.
        form: What was sent; empty but for a POST.
        peer: The address that the browser comes from.
        session: The visitor's; None where nobody is signed in.
        session_id: Its identifier, from the browser's cookie; empty where nobody is signed in.
        browser: What tells this browser from others where nobody is signed in; random.
        form_token: What each form of the page carries.
        language: In which the page is written.
        theme: `auto`, `light` or `dark`.
    """

    origin: str
    path: str
    params: Mapping[str, str]
    query: Form
    form: Form
    peer: str
    session: Session | None
    session_id: str
    browser: str
    form_token: str
    language: Language
    theme: str

    @property
    def who(self) -> Person:
        """The visitor, on a page that names roles.

        Raises:
            SignInFailed: Nobody is signed in.
        """
        return self.own_session.person

    @property
    def own_session(self) -> Session:
        """The visitor's session, on a page that names roles.

        Raises:
            SignInFailed: Nobody is signed in.
        """
        if self.session is None:
            raise SignInFailed("This page takes a sign-in.")
        return self.session

    def gettext(self, text: str, **values: object) -> str:
        """See `Language.gettext`."""
        return self.language.gettext(text, **values)

    def ngettext(self, one: str, many: str, count: int, **values: object) -> str:
        """See `Language.ngettext`."""
        return self.language.ngettext(one, many, count, **values)

    def told(self, error: WanwuError) -> str:
        """An error's public text in this language; in English where it has no other."""
        return self.language.told(error.public) or error.public
