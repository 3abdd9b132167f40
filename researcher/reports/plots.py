"""Curves and matrices of a study as PNG. Drawn from released numbers and public hold-outs only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from policies.answers import rounded
from researcher import atomic_file
from researcher.reports import drawing, wording
from researcher.reports.result import StudyResult

MANY_CLASSES = 9
MANY_LABELLED = 40
MANY_SIZE_INCHES = (9.6, 8.0)
# Blues between the two that meet at a half hold no ink that is read both on white and turned over, on a dark page.
HALF = 0.5
BLUES = LinearSegmentedColormap.from_list(
    "blues", ((0, "#f5f8fc"), (0.37, "#9cc3e6"), (HALF, "#76abda"), (HALF, "#3482c6"), (1, "#08407e"))
)


def write_plots(folder: Path | str, result: StudyResult) -> dict[str, Path]:
    """Writes the curves of the score that a model is judged by, `accuracy.png` or for findings `macro_auroc.png`, and
    `macro_f1.png`; `confusion.png` or for findings `findings.png`; and, where training was private, `privacy.png`.

    Returns:
        Name of the plot, without suffix → its file.

    Raises:
        ConfigError: The folder cannot be written.
    """
    colours = drawing.colours(result.datasites)
    with mpl.rc_context(drawing.style()):
        figures = _of_findings(result, colours) if result.final.findings else _of_classes(result, colours)
        if any(r.epsilon for r in result.rounds):
            figures["privacy"] = privacy(epsilon_curves(result), colours)
        return {
            name: atomic_file.write(Path(folder) / f"{name}.png", drawing.png(figure))
            for name, figure in figures.items()
        }


def _of_classes(result: StudyResult, colours: Mapping[str, str]) -> dict[str, Figure]:
    alone = {name: e.accuracy for name, e in result.local_only.items()}
    return {
        "accuracy": scores("Test accuracy", [r.test_accuracy for r in result.rounds], alone, colours),
        "macro_f1": _macro_f1(result, colours),
        "confusion": confusion(np.array(result.final.confusion), result.class_names),
    }


def _of_findings(result: StudyResult, colours: Mapping[str, str]) -> dict[str, Figure]:
    """No curve where no finding has an AUROC: which have one depends on the hold-out alone, the same in all rounds."""
    aurocs = {name: one.auroc for name, one in zip(result.class_names, result.final.findings, strict=True)}
    found = {"macro_f1": _macro_f1(result, colours), "findings": findings(aurocs)}
    values = [r.macro_auroc for r in result.rounds if r.macro_auroc is not None]
    alone = {name: e.macro_auroc for name, e in result.local_only.items() if e.macro_auroc is not None}
    return {"macro_auroc": scores("Macro AUROC", values, alone, colours), **found} if values else found


def _macro_f1(result: StudyResult, colours: Mapping[str, str]) -> Figure:
    alone = {name: e.macro_f1 for name, e in result.local_only.items()}
    return scores("Macro F1", [r.macro_f1 for r in result.rounds], alone, colours)


def findings(aurocs: Mapping[str, float | None]) -> Figure:
    """A bar for each finding from 0.5, which is guessing, to its AUROC; a dash where it has none."""
    many = len(aurocs) > MANY_CLASSES
    width, height = MANY_SIZE_INCHES if many else drawing.SIZE_INCHES
    figure = Figure(figsize=(width, height), dpi=drawing.DPI)
    left, below, above = 2.0, 0.45, 0.735
    axes = figure.add_axes((left / width, below / height, 1 - (left + 0.6) / width, 1 - (below + above) / height))
    drawing.title(figure, "AUROC by finding", "Global model on the public hold-out; 0.5 is guessing")
    places, size = range(len(aurocs)), 10 if len(aurocs) <= MANY_LABELLED else 6
    beyond = [0.0 if value is None else value - 0.5 for value in aurocs.values()]
    axes.barh(places, beyond, left=0.5, height=min(0.8, len(aurocs) / 8), color=drawing.GLOBAL)
    axes.set_yticks(places, drawing.class_labels(list(aurocs), most=22), fontsize=size)
    axes.set_ylim(len(aurocs) - 0.4, -0.6)
    axes.set_xlim(min(0.5, 0.5 + min(beyond)), 1)
    for place, value in zip(places, aurocs.values(), strict=True):
        beside = axes.get_yaxis_transform()
        axes.text(1.02, place, wording.score(value), transform=beside, va="center", fontsize=size)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    return figure


def scores(title: str, values: Sequence[float], local_only: Mapping[str, float], colours: Mapping[str, str]) -> Figure:
    """The global model's score after each round, and each hospital's alone as a dashed line."""
    subtitle = "Global model on the public hold-out, by round"
    figure, axes = drawing.new_axes(title, subtitle + ("; dashed: one hospital alone" if local_only else ""))
    rounds = np.arange(1, len(values) + 1)
    labels: list[drawing.Label] = [(values[-1], f"All together  {values[-1]:.3f}", drawing.GLOBAL, "bold")]
    named = drawing.named(local_only)
    for name, value in local_only.items():
        axes.axhline(value, color=colours[name], linewidth=1.1, dashes=(5, 3))
        if name in named:
            labels.append((value, f"{drawing.short(name)}  {value:.3f}", drawing.INK, "normal"))
    axes.plot(
        rounds,
        values,
        color=drawing.GLOBAL,
        linewidth=2.4 if len(values) <= 60 else 1.5,
        solid_capstyle="round",
    )
    axes.plot(rounds[-1:], values[-1:], "o", color=drawing.GLOBAL, markersize=6)
    low, high = min([*values, *local_only.values()]), max([*values, *local_only.values()])
    margin = max(0.08 * (high - low), 0.01)
    axes.set_ylim(max(0.0, low - margin), min(1.0, high + margin) + 0.002)
    drawing.rounds_axis(axes, first=1, last=len(values))
    drawing.label_ends(axes, labels)
    return figure


def privacy(curves: Mapping[str, Sequence[float]], colours: Mapping[str, str]) -> Figure:
    """Epsilon spent by the study after each round, at each hospital; equal hospitals share a line."""
    figure, axes = drawing.new_axes(
        "Privacy spent", "Epsilon of the study at each hospital, by round; lower is more private"
    )
    groups: dict[tuple[float, ...], list[str]] = {}
    for name, curve in curves.items():
        groups.setdefault(tuple(round(epsilon, 3) for epsilon in curve), []).append(name)
    ends = drawing.named({names[0]: curve[-1] for curve, names in groups.items()})
    labels: list[drawing.Label] = []
    for curve, names in groups.items():
        colour = colours[names[0]] if len(names) == 1 else drawing.MUTED
        axes.plot(range(len(curve) + 1), (0.0, *curve), color=colour, linewidth=2)
        axes.plot(len(curve), curve[-1], "o", color=colour, markersize=5)
        who = drawing.short(names[0]) if len(names) == 1 else f"{len(names)} hospitals"
        if names[0] in ends:
            labels.append((curve[-1], f"{who}  {rounded.cost(curve[-1])}", drawing.INK, "normal"))
    rounds = max(len(curve) for curve in groups)
    axes.set_ylim(0, 1.12 * max(curve[-1] for curve in groups))
    drawing.rounds_axis(axes, first=0, last=rounds)
    drawing.label_ends(axes, labels)
    return figure


def epsilon_curves(result: StudyResult) -> dict[str, list[float]]:
    """Datasite → epsilon after each round; a round that it sat out keeps the last value."""
    curves: dict[str, list[float]] = {}
    for name in result.datasites:
        spent, curve = 0.0, []
        for record in result.rounds:
            spent = record.epsilon.get(name, spent)
            curve.append(spent)
        if curve[-1] > 0:
            curves[name] = curve
    return curves


def confusion(matrix: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Rows normalised: of each true class, the share taken for each class, with counts.

    Args:
        matrix: int, (K, K), rows true, columns predicted.
        class_names: K names.
    """
    classes, turned = len(class_names), len(class_names) > 5
    width, height = drawing.SIZE_INCHES if classes <= MANY_CLASSES else MANY_SIZE_INCHES
    figure = Figure(figsize=(width, height), dpi=drawing.DPI)
    left, below, above = 1.38, 1.0 if turned else 0.59, 0.735
    axes = figure.add_axes((left / width, below / height, 1 - (left + 0.13) / width, 1 - (below + above) / height))
    drawing.title(figure, "Confusion matrix", "Share of each true class (row) taken for each class, with counts")
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap=BLUES, vmin=0, vmax=1, aspect="auto")
    _write_cells(axes, matrix, shares)
    names = drawing.class_labels(class_names)
    slanted: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    axes.set_xticks(range(classes), names, **slanted)
    axes.set_yticks(range(classes), names)
    axes.set_xticks(np.arange(classes - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(classes - 1) + 0.5, minor=True)
    axes.grid(visible=False, which="major")
    axes.grid(which="minor", axis="both", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("Predicted")
    axes.set_ylabel("True")
    return figure


def _write_cells(axes: Axes, matrix: np.ndarray, shares: np.ndarray) -> None:
    """The share in each cell and, where there is room, the count below it."""
    classes = len(matrix)
    inches = axes.bbox.height / drawing.DPI / classes
    counted = inches > 0.3
    size = min(12.5, 72 * inches * (0.3 if counted else 0.5))
    apart = 0.55 * size / 72 / inches if counted else 0.0
    for row, column in np.ndindex(classes, classes):
        share, count = shares[row, column], matrix[row, column]
        colour = "white" if share >= HALF else drawing.INK if count else drawing.FAINT
        centred: dict[str, Any] = {"ha": "center", "va": "center"}
        said = f"{share:.0%}" if matrix[row].any() else "–"  # a share of no picture
        axes.text(column, row - apart, said, color=colour, fontsize=size, **centred)
        if counted:
            axes.text(column, row + 1.3 * apart, f"{count:,}", color=colour, fontsize=0.78 * size, **centred)
