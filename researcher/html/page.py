"""A page of elements in one file: the reports' look, light and dark, no script, no request to anywhere."""

from __future__ import annotations

from pathlib import Path

from researcher.html.element import Html, element, joined

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLES = ("page.css", "charts.css", "dark.css")


def page(title: str, kicker: str, *sections: Html) -> Html:
    """The page.

    Args:
        title: Of the browser's tab and the first heading.
        kicker: What kind of page it is, above that.
        sections: What follows.
    """
    style = Html("\n".join((Path(__file__).parent / name).read_text() for name in _STYLES))
    head = element(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", f"{title} · {kicker}"),
        element("style", style),
    )
    heading = element("header", element("p", f"Wanwu · {kicker}", class_="kicker"), element("h1", title))
    body = element("body", element("main", heading, *sections))
    return joined(Html("<!doctype html>\n"), element("html", head, body, lang="en"), Html("\n"))


def section(heading: str, *parts: object) -> Html:
    """A part of a page under its heading."""
    return element("section", element("h2", heading), *parts)


def paragraph(sentence: str, *, small: bool = False) -> Html:
    """A sentence, or several."""
    return element("p", sentence, class_="small" if small else "told")


def figures(told: str, *each: tuple[str, str, str]) -> Html:
    """Large numbers in a row, each a name, a value and a note."""
    made = [
        element(
            "div",
            element("p", name, class_="name"),
            element("p", value, class_="value"),
            element("p", note, class_="note"),
        )
        for name, value, note in each
    ]
    return element("section", *made, class_="headline", aria_label=told)


def wide(*parts: object, compact: bool = False) -> Html:
    """Something that may be wider than a narrow screen, and then scrolls on its own.

    Args:
        parts: What stands in it.
        compact: Whether it is a table of many columns, whose heads break into lines.
    """
    return element("div", *parts, class_="scroll compact" if compact else "scroll", tabindex="0")


def charts(*each: Html) -> Html:
    """Charts beside each other where there is room."""
    return element("div", *each, class_="charts")
