"""The style of a report's plots: type, colours, titles, and labels that stand beside their lines."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from policies.untrusted_text import shown

DPI = 200
SIZE_INCHES = (6.4, 4.2)
MOST_LABELS = 8

INK, MUTED, FAINT, GRID = "#1b222c", "#5c6672", "#b4bcc6", "#e4e8ed"
GLOBAL = "#0b5cad"
# Paul Tol's muted scheme without its yellows: told apart with any colour vision, dark enough for thin lines.
HOSPITALS = ("#882255", "#117733", "#cc6677", "#44aa99", "#332288", "#aa4499", "#88766b", "#999933")
FONTS = ("Inter", "Source Sans 3", "Helvetica Neue", "Arial", "Liberation Sans")
HAN_FONTS = ("Noto Sans CJK SC", "Noto Sans SC", "PingFang SC", "Microsoft YaHei", "WenQuanYi Micro Hei")

Label = tuple[float, str, str, str]  # y in data units, text, colour, weight


def style() -> dict[str, object]:
    """Matplotlib settings for `rc_context`; text is taken as it is, `$` begins no formula."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    latin, han = ([name for name in names if name in installed][:1] for names in (FONTS, HAN_FONTS))
    return {
        "font.family": [*latin, *han, "DejaVu Sans"],
        "font.size": 10.5,
        "text.color": INK,
        "text.parse_math": False,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": MUTED,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "xtick.color": FAINT,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": MUTED,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "ytick.major.size": 0,
    }


def new_axes(heading: str, subtitle: str) -> tuple[Figure, Axes]:
    """A figure with one axes that leaves room for labels on the right."""
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI)
    axes = figure.add_axes((0.075, 0.125, 0.63, 0.695))
    title(figure, heading, subtitle)
    return figure, axes


def title(figure: Figure, heading: str, subtitle: str) -> None:
    """A heading and a line on how to read the plot, at its upper left."""
    width, height = figure.get_size_inches()
    figure.text(0.128 / width, 1 - 0.273 / height, heading, fontsize=14, fontweight="bold")
    figure.text(0.128 / width, 1 - 0.525 / height, subtitle, fontsize=10, color=MUTED)


def rounds_axis(axes: Axes, *, first: int, last: int) -> None:
    """Whole rounds below, few round numbers at the left."""
    pad = 0.02 * (last - first) or 0.5
    axes.set_xlim(first - pad, last + pad)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.set_xlabel("Round")


def label_ends(axes: Axes, labels: Sequence[Label]) -> None:
    """Writes each line's label to the right of the axes at its height, moved apart where they would touch."""
    low, high = axes.get_ylim()
    heights = [(y - low) / (high - low) for y, *_ in labels]
    placed = spread(heights, 0.066, 0.0, 1.0)
    for (_, text, colour, weight), height, place in zip(labels, heights, placed, strict=True):
        beside: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
        axes.plot((1.0, 1.022), (height, place), color=FAINT, linewidth=0.8, **beside)
        axes.text(1.03, place, text, color=colour, fontweight=weight, va="center", fontsize=10, **beside)


def named(values: Mapping[str, float]) -> set[str]:
    """Which lines get a label: all, or of too many the best and the worst."""
    if len(values) <= MOST_LABELS:
        return set(values)
    return {max(values, key=values.__getitem__), min(values, key=values.__getitem__)}


def colours(datasites: Sequence[str]) -> dict[str, str]:
    """Datasite → colour, the same in every plot; too many to tell apart are all grey."""
    if len(datasites) > MOST_LABELS:
        return dict.fromkeys(datasites, FAINT)
    return dict(zip(datasites, HOSPITALS, strict=False))


def short(name: str, most: int = 16) -> str:
    """The name as it can be shown, its middle left out if it is too long for its place."""
    name = shown(name)
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-(most // 2) :]}"


def class_labels(names: Sequence[str], most: int = 16) -> list[str]:
    """The names as plots write them: one that no font here can draw is numbered by its place, as `unwritten` tells."""
    return [short(name, most) if _can_draw(short(name, most)) else f"class {k}" for k, name in enumerate(names, 1)]


def unwritten(names: Sequence[str]) -> dict[str, str]:
    """What plots write in the place of names that no font here can draw → the name."""
    with mpl.rc_context(style()):
        written = class_labels(names)
    return {label: name for label, name in zip(written, names, strict=True) if label != short(name)}


def _can_draw(text: str) -> bool:
    """Whether each letter is in one of the fonts in use."""
    families = [font_manager.FontProperties(family=[name]) for name in mpl.rcParams["font.family"]]
    fonts = [font_manager.get_font(font_manager.findfont(family)) for family in families]
    return all(any(ord(letter) in font.get_charmap() for font in fonts) for letter in text)


def png(figure: Figure) -> bytes:
    """The figure's pixels; equal figures give equal bytes."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Moves positions apart by the least, until neighbours are `gap` away, within [low, high] if they fit."""
    order = sorted(range(len(positions)), key=lambda k: positions[k])
    blocks: list[tuple[float, int]] = []  # centre and size of each run of labels that touch
    for k in order:
        centre, size = positions[k], 1
        while blocks and centre - blocks[-1][0] < gap * (size + blocks[-1][1]) / 2:
            other, others = blocks.pop()
            centre, size = (centre * size + other * others) / (size + others), size + others
        blocks.append((centre, size))
    placed = [centre + gap * (i - (size - 1) / 2) for centre, size in blocks for i in range(size)]
    for i in range(len(placed)):
        placed[i] = max(placed[i], low + gap * i)
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], high - gap * (len(placed) - 1 - i))
    return [placed[order.index(k)] for k in range(len(positions))]
