"""The choices of language and of light or dark, which a browser keeps: no page is needed, and nobody need sign in."""

from __future__ import annotations

from datasites.pages.frame.forms import own_place
from datasites.pages.frame.views import Answer, Onward, Pages
from datasites.pages.frame.visit import THEMES, Visit


def make_pages(languages: tuple[str, ...]) -> Pages:
    """Takes a choice and goes back to where it was made."""
    pages = Pages()

    @pages.post("/preferences")
    def choose(visit: Visit) -> Answer:
        wished = {"language": visit.form.get("language"), "theme": visit.form.get("theme")}
        known = {"language": languages, "theme": THEMES}
        chosen = {name: value for name, value in wished.items() if value in known[name]}
        return Onward(own_place(visit.form.get("back", "/")), cookies=chosen)

    return pages
