"""Declarations of pages: a function of a visit, at a path, for roles. It answers with a page, or sends on to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from starlette.responses import Response

from datasites.pages.frame.visit import Visit


@dataclass(frozen=True)
class Page:
    """A template and what it shows.

    Attributes:
        template: Its path in `datasites/pages/templates/`.
        values: What it names, beside `visit`, `console_name` and `places`.
        status: HTTP status.
    """

    template: str
    values: Mapping[str, object] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Onward:
    """Sends the browser to another page, as after every form that was taken.

    Attributes:
        path: Of that page.
        notice: What it tells first; needs a session.
        session: Identifier of a session that begins for this browser; empty ends the one it has; None leaves it.
        cookies: Further ones to keep, by name: choices of language and theme, nothing that is secret.
    """

    path: str
    notice: str = ""
    session: str | None = None
    cookies: Mapping[str, str] = field(default_factory=dict)


Answer = Page | Onward | Response
View = Callable[[Visit], Answer]


@dataclass(frozen=True)
class Route:
    """A function that answers at a path.

    Attributes:
        method: GET or POST.
        path: With names in braces for what `Visit.params` holds.
        roles: Who may; empty for whoever comes, signed in or not.
        view: The function.
        by_itself: Whether an open page asks for it, and no person: it does not keep a session from ending.
    """

    method: Literal["GET", "POST"]
    path: str
    roles: tuple[str, ...]
    view: View
    by_itself: bool = False


@dataclass(frozen=True)
class Place:
    """A line of the navigation.

    Attributes:
        path: Of its page.
        title: English, marked by `to_translate`.
        roles: Who sees it.
    """

    path: str
    title: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Signs:
    """What the head of every page tells one person.

    Attributes:
        unread: Notices that this person has not read.
        troubles: What is not well now; None where nobody has looked yet.
        to_look_at: What the doctor would have somebody look at, though the datasite works.
    """

    unread: int
    troubles: int | None
    to_look_at: int


class Pages:
    """The pages of one module, and their places in the navigation."""

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self.places: list[Place] = []

    def get(
        self, path: str, roles: Sequence[str] = (), *, place: str = "", by_itself: bool = False
    ) -> Callable[[View], View]:
        """Declares a page.

        Args:
            path: See `Route`.
            roles: See `Route`.
            place: Its title in the navigation; empty for none.
            by_itself: See `Route`.
        """
        if place:
            self.places.append(Place(path, place, tuple(roles)))
        return self._declare("GET", path, roles, by_itself=by_itself)

    def post(self, path: str, roles: Sequence[str] = ()) -> Callable[[View], View]:
        """Declares what a form is sent to. Only a form of this console's own pages reaches it."""
        return self._declare("POST", path, roles)

    def _declare(
        self, method: Literal["GET", "POST"], path: str, roles: Sequence[str], *, by_itself: bool = False
    ) -> Callable[[View], View]:
        def declare(view: View) -> View:
            self.routes.append(Route(method, path, tuple(roles), view, by_itself))
            return view

        return declare
