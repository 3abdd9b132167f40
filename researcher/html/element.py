"""Elements of HTML and SVG. A text that is not markup of this room's own making is shown, then escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from policies.untrusted_text import shown

MOST_IN_A_PLACE = 4000


class Html(str):
    """Markup that `element` made: what others wrote stands escaped in it."""

    __slots__ = ()


def element(tag: str, *children: object, **attributes: object) -> Html:
    """One element: `element("td", name, scope="row")`.

    Args:
        tag: Its name, written in this program.
        children: Other elements; anything else is a text and is escaped.
        attributes: Their values are texts and are escaped; `class_` is `class`, `aria_label` is `aria-label`.
    """
    written = "".join(f' {name.rstrip("_").replace("_", "-")}="{text(value)}"' for name, value in attributes.items())
    return Html(f"<{tag}{written}>{''.join(map(text, children))}</{tag}>")


def text(value: object) -> Html:
    """A value as it can stand in markup: an element as it is, anything else shown and escaped."""
    return value if isinstance(value, Html) else Html(html.escape(shown(value, most=MOST_IN_A_PLACE)))


def joined(*parts: object) -> Html:
    """Elements one after the other; none is nothing."""
    return Html("".join(map(text, parts)))


def together(*parts: object) -> Html:
    """Elements one after the other in a block of their own."""
    return element("div", *parts, class_="wanwu")


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """A table with its caption; the first cell of a row names the row."""
    columns = element("tr", *(element("th", name, scope="col", style=_LEFT) for name in head))
    body = [
        element(
            "tr",
            *(
                element("td", cell, style=_LEFT) if number else element("th", cell, scope="row", style=_LEFT)
                for number, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    told = element("caption", caption, style="text-align:left;font-weight:bold")
    return element("table", told, element("thead", columns), element("tbody", *body))


def listed(items: Iterable[object]) -> Html:
    """Items below each other; nothing where there are none."""
    made = [element("li", item) for item in items]
    return element("ul", *made) if made else Html("")


def bar(value: float, total: float, told: str) -> Html:
    """How much of a total is there, as a bar beside its words, which say the same."""
    most = max(total, 1e-12)
    meter = element("meter", told, min="0", max=f"{most:g}", value=f"{min(max(value, 0.0), most):g}", aria_label=told)
    return Html(f"{meter} {text(told)}")


_LEFT = "text-align:left"
