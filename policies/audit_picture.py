"""Draws what an audit measured: the canaries' scores against the noise that should hide them. Drawn pictures alone.

The look is that of the reports that researchers get.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Protocol

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from policies.answers import rounded

DPI = 200
SIZE_INCHES = (7.6, 4.6)
FINDINGS_INCHES, ROW_INCHES = 5.35, 0.92  # where their column begins, and from one to the next
DRAWN = ("epsilon by guessing", "epsilon by distance", "noise on canaries")  # the checks that have a row of their own
BINS, CURVE_POINTS = 50, 800
NOISE_REACH = 3.6  # standard deviations to either side that are always shown
INK, MUTED, FAINT = "#1b222c", "#5c6672", "#b4bcc6"
PRESENT, ABSENT, WRONG = "#3d7fc4", "#aab3bd", "#a3243b"
FONTS = ("Inter", "Source Sans 3", "Helvetica Neue", "Arial", "Liberation Sans")


class Checked(Protocol):
    """One finding; `datasites.training.privacy_audit.checks.Check` is one."""

    @property
    def name(self) -> str: ...

    @property
    def allowed(self) -> float: ...

    @property
    def holds(self) -> bool: ...


class Measured(Protocol):
    """What an audit found; `datasites.training.privacy_audit.AuditResult` is one."""

    @property
    def checks(self) -> Sequence[Checked]: ...

    @property
    def claimed_epsilon(self) -> float: ...

    @property
    def one_run_lower_bound(self) -> float: ...

    @property
    def gaussian_lower_bound(self) -> float: ...

    @property
    def noise_z(self) -> float: ...

    @property
    def passed(self) -> bool: ...

    @property
    def included_scores(self) -> np.ndarray:
        """float64, (n,): scores of the canaries that took part."""

    @property
    def excluded_scores(self) -> np.ndarray:
        """float64, (n,): scores of the canaries that did not take part."""

    @property
    def expected_spread(self) -> float: ...


def picture(result: Measured, *, title: str) -> bytes:
    """The PNG of an audit: the scores of both groups, each with the noise that should be there, and the checks."""
    with mpl.rc_context(_style()):
        figure = Figure(figsize=SIZE_INCHES, dpi=DPI)
        _write(figure, 0.19, 0.3, title, size=14, weight="bold")
        _write(
            figure, 0.19, 0.56, "Scores of canaries in one update; line: the noise that should be there", colour=MUTED
        )
        lower = figure.add_axes((0.025, 0.118, 0.63, 0.29))
        upper = figure.add_axes((0.025, 0.492, 0.63, 0.29), sharex=lower)
        edges = _edges(result)
        for axes, scores, colour, group in (
            (upper, result.excluded_scores, ABSENT, "took no part"),
            (lower, result.included_scores, PRESENT, "took part"),
        ):
            _histogram(axes, scores, edges, result.expected_spread, colour)
            axes.set_title(f"{len(scores)} canaries {group}", loc="left", fontsize=10, color=INK, fontweight="bold")
        top = max(upper.get_ylim()[1], lower.get_ylim()[1])
        upper.set_ylim(0, top)
        lower.set_ylim(0, top)
        upper.tick_params(labelbottom=False)
        lower.set_xlabel("Score: how much of a canary is in the update, in clipping norms")
        _findings(figure, result)
        return _png(figure)


def _edges(result: Measured) -> np.ndarray:
    """The bins' edges, over all scores and all of the noise that should be there; one bin lies around 0."""
    scores = np.concatenate([result.included_scores, result.excluded_scores])
    reach = NOISE_REACH * result.expected_spread
    low, high = min(float(scores.min()), -reach), max(float(scores.max()), reach)
    width = (high - low) / BINS
    return width * (np.arange(math.floor(low / width), math.ceil(high / width) + 2) - 0.5)


def _histogram(axes: Axes, scores: np.ndarray, edges: np.ndarray, spread: float, colour: str) -> None:
    """Counts by score, and the counts that the expected noise alone would give."""
    axes.hist(scores, bins=list(edges), color=colour, rwidth=0.88)
    at = np.linspace(edges[0], edges[-1], CURVE_POINTS)
    top = len(scores) * (edges[1] - edges[0]) / (spread * math.sqrt(2 * math.pi))
    axes.plot(at, top * np.exp(-0.5 * np.square(at / spread)), color=INK, linewidth=1.5)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_yticks([])


def _findings(figure: Figure, result: Measured) -> None:
    """The checks of the histograms beside them, and a count of all others; coloured where one does not hold."""
    by_name = {check.name: check for check in result.checks}
    claimed = f"claimed: {rounded.cost(result.claimed_epsilon)}"
    guessing, distance, noise = (by_name.pop(name) for name in DRAWN)
    z = f"{result.noise_z:+.1f}".replace("-", "\N{MINUS SIGN}")
    wrong = [check.name for check in by_name.values() if not check.holds]
    counted = f"{len(by_name) - len(wrong)} of {len(by_name)}"
    rows = (
        ("Epsilon is at least (one run)", rounded.left(result.one_run_lower_bound), claimed, guessing.holds),
        ("Epsilon is at least (Gaussian)", rounded.left(result.gaussian_lower_bound), claimed, distance.holds),
        ("Noise is off by", z, f"standard errors; allowed: {noise.allowed:.1f}", noise.holds),
        ("Further checks that hold", counted, f"not: {wrong[0]}" if wrong else "draws, gradients, noise", not wrong),
    )
    for row, (name, value, remark, holds) in enumerate(rows):
        top = 1.02 + ROW_INCHES * row
        _write(figure, FINDINGS_INCHES, top, name, colour=MUTED)
        _write(figure, FINDINGS_INCHES, top + 0.32, value, size=16, weight="bold", colour=INK if holds else WRONG)
        _write(figure, FINDINGS_INCHES, top + 0.54, remark, size=9, colour=MUTED if holds else WRONG)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _write(
    figure: Figure, x: float, y: float, text: str, *, size: float = 10, colour: str = INK, weight: str = "normal"
) -> None:
    """Text at (x, y) in inches from the upper left."""
    width, height = figure.get_size_inches()
    figure.text(x / width, 1 - y / height, text, fontsize=size, color=colour, fontweight=weight)


def _style() -> dict[str, object]:
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return {
        "font.family": [*[name for name in FONTS if name in installed][:1], "DejaVu Sans"],
        "font.size": 10,
        "text.color": INK,
        "text.parse_math": False,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": MUTED,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "xtick.color": FAINT,
        "xtick.labelcolor": MUTED,
    }
