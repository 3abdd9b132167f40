"""Curves by round, or by what was spent until then, as inline SVG: no script, readable on a light and a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from policies.untrusted_text import shown
from researcher.html.element import Html, element

WIDTH, HEIGHT = 460, 220
_LEFT, _RIGHT, _ABOVE, _BELOW = 44, 130, 26, 30
# Paul Tol's bright scheme without yellow: told apart with any colour vision, and from white as from black.
COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#66ccee", "#999999")
DASHES = ("", "6 3", "2 3", "8 3 2 3")
MOST_LINES = 12
MOST_IN_A_NAME = 18
_PLAIN = {"fill": "currentColor", "font-size": "11", "font-family": "sans-serif"}

Points = Sequence[tuple[float, float]]
ROUND = "round"


def curves(title: str, lines: Mapping[str, Points], *, highest: float | None = None, across: str = ROUND) -> Html:
    """A chart of values from 0, one line for each name; nothing where no line has a point.

    Args:
        title: What is drawn; its words and each line's last value are what a screen reader is told.
        lines: Name → (round, value), in order of rounds; or what else lies across, from 0, in its place.
        highest: Value at the upper end; the largest one's if None.
        across: What lies across, with its unit.
    """
    drawn = {name: points for name, points in lines.items() if points}
    if not drawn:
        return Html("")
    most = highest or max(value for points in drawn.values() for _, value in points) or 1.0
    first, last = 1.0 if across == ROUND else 0.0, max(at for points in drawn.values() for at, _ in points)
    told = "; ".join(f"{shown(name)}: {points[-1][1]:.3g}" for name, points in drawn.items())
    until = f"after round {last:g}" if across == ROUND else f"until {last:.3g} {across}"
    parts = [element("title", f"{title}, {until}: {told}"), words(title, _LEFT, 14, weight="bold")]
    parts += _axes(most, (first, last), across)
    for number, (name, points) in enumerate(list(drawn.items())[:MOST_LINES]):
        parts += _line(number, name, [(_x(at, first, last), _y(value, most)) for at, value in points])
    return element("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", width=WIDTH, height=HEIGHT, role="img")


def _axes(most: float, ends: tuple[float, float], across: str) -> list[Html]:
    bottom = HEIGHT - _BELOW
    form: dict[str, str] = {"stroke": "currentColor", "stroke-opacity": "0.4"}
    made = [element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=bottom, y2=bottom, **form)]
    for share in (0.0, 0.5, 1.0):
        made.append(words(f"{most * share:.3g}", _LEFT - 6, _y(most * share, most) + 4, anchor="end"))
    first, last = ends
    made.append(words("round 1" if across == ROUND else f"{first:g}", _LEFT, HEIGHT - 10))
    if last > first:
        right = f"{last:g}" if across == ROUND else f"{last:.3g} {across}"
        made.append(words(right, WIDTH - _RIGHT, HEIGHT - 10, anchor="end"))
    return made


def _line(number: int, name: str, places: Sequence[tuple[float, float]]) -> list[Html]:
    """A line with a mark at each round, and its name at the right."""
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    form: dict[str, str] = {"stroke": colour, "stroke-width": "2", "stroke-dasharray": dash or "none", "fill": "none"}
    made = [element("polyline", points=path, **form)]
    made += [element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="2.5", fill=colour) for x, y in places]
    high = _ABOVE + 8 + 15 * number
    made.append(element("line", x1=WIDTH - _RIGHT + 10, x2=WIDTH - _RIGHT + 28, y1=high, y2=high, **form))
    short = shown(name, most=200)
    short = short if len(short) <= MOST_IN_A_NAME else f"{short[: MOST_IN_A_NAME - 1]}…"
    return [*made, words(short, WIDTH - _RIGHT + 33, high + 4)]


def words(text: str, x: float, y: float, *, anchor: str = "start", weight: str = "normal") -> Html:
    """A text in a chart, in the page's own colour."""
    place = {"x": f"{x:g}", "y": f"{y:g}", "text-anchor": anchor, "font-weight": weight}
    return element("text", text, **place, **_PLAIN)


def _x(at: float, first: float, last: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * ((at - first) / (last - first) if last > first else 0.5)


def _y(value: float, most: float) -> float:
    return HEIGHT - _BELOW - (HEIGHT - _ABOVE - _BELOW) * min(max(value / most, 0.0), 1.0)
