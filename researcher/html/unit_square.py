"""Curves of one share against another as inline SVG, such as an ROC curve or a reliability diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from policies.untrusted_text import shown
from researcher.html.curves import COLOURS, DASHES, MOST_IN_A_NAME, MOST_LINES, words
from researcher.html.element import Html, element

WIDTH, HEIGHT, SIDE = 460, 330, 260
_LEFT, _ABOVE = 48, 26
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEGEND = _LEFT + SIDE + 12


def unit_square(
    title: str,
    across: str,
    upwards: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    told: str,
    marks: bool = False,
) -> Html:
    """A chart from 0 to 1 both ways with its diagonal, one line for each name; nothing without a line.

    Args:
        title: What is drawn.
        across: Name of the values from left to right.
        upwards: Name of the others.
        lines: Name → points from left to right, each share from 0 to 1.
        told: The chart in words, for a screen reader.
        marks: Whether each point has a mark.
    """
    drawn = {name: points for name, points in lines.items() if points}
    if not drawn:
        return Html("")
    bottom, right = _y(0.0), _x(1.0)
    faint = {"stroke": "currentColor", "stroke-opacity": "0.4"}
    parts = [element("title", f"{title}: {told}"), words(title, _LEFT, 14, weight="bold")]
    for share in _SHARES:
        parts.append(words(f"{share:g}", _LEFT - 6, _y(share) + 4, anchor="end"))
        parts.append(words(f"{share:g}", _x(share), bottom + 15, anchor="middle"))
    parts.append(words(across, _x(0.5), HEIGHT - 8, anchor="middle"))
    parts.append(words(upwards, _LEFT, _ABOVE - 1))
    parts.append(element("rect", x=_LEFT, y=_y(1.0), width=SIDE, height=SIDE, fill="none", **faint))
    parts.append(element("line", x1=_LEFT, y1=bottom, x2=right, y2=_y(1.0), stroke_dasharray="3 4", **faint))
    for number, (name, points) in enumerate(list(drawn.items())[:MOST_LINES]):
        parts += _line(number, name, points, marks=marks)
    if len(drawn) > MOST_LINES:
        parts.append(words(f"and {len(drawn) - MOST_LINES} more", _LEGEND, _ABOVE + 23 + 15 * MOST_LINES))
    return element("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", width=WIDTH, height=HEIGHT, role="img")


def _line(number: int, name: str, points: Sequence[tuple[float, float]], *, marks: bool) -> list[Html]:
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
    form = {"stroke": colour, "stroke-width": "2", "stroke-dasharray": dash or "none", "fill": "none"}
    path = " ".join(f"{_x(across):.1f},{_y(upwards):.1f}" for across, upwards in points)
    made = [element("polyline", points=path, **form)]
    if marks:
        made += [element("circle", cx=f"{_x(a):.1f}", cy=f"{_y(u):.1f}", r="3", fill=colour) for a, u in points]
    high = _ABOVE + 19 + 15 * number
    made.append(element("line", x1=_LEGEND, x2=_LEGEND + 18, y1=high, y2=high, **form))
    short = shown(name, most=200)
    short = short if len(short) <= MOST_IN_A_NAME else f"{short[: MOST_IN_A_NAME - 1]}…"
    return [*made, words(short, _LEGEND + 23, high + 4)]


def _x(share: float) -> float:
    return _LEFT + SIDE * min(max(share, 0.0), 1.0)


def _y(share: float) -> float:
    return _ABOVE + 4 + SIDE * (1 - min(max(share, 0.0), 1.0))
