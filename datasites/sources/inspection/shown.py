"""An inspection in the hospital's terminal. It names files; what it prints stays there."""

from __future__ import annotations

import io

from datasites.sources.inspection.inspection import Inspection
from policies.terminal.printing import MARGIN
from policies.terminal.rich_terminal import PlainConsole, PlainTable

_MOST_SIZES = 5
_MOST_CLASSES = 30
_COMMENT = "# "


def show(found: Inspection, console: PlainConsole) -> None:
    """Prints what was found, in as many columns as the terminal has, and settings that can be copied.

    Where no terminal reads it, as in a file, all but the settings are comments of TOML, so that the whole is settings.
    """
    if console.file.isatty():
        _show(found, console)
    else:
        said = io.StringIO()
        _show(found, PlainConsole(file=said, width=max(console.width - len(_COMMENT), 1)))
        for line in said.getvalue().rstrip("\n").split("\n"):
            console.print(f"{_COMMENT}{line}".rstrip(), soft_wrap=True)
    for line in found.settings.split("\n") if found.settings else []:
        console.print(line, soft_wrap=True)


def _show(found: Inspection, console: PlainConsole) -> None:
    """Prints all but the settings."""
    console.rule(f"What is in {found.path}")
    if found.pictures:
        patients = f" of {found.patients:,} patients" if found.patients else ""
        channels = {1: "grey", 3: "colour"}.get(found.channels or 0, "")
        console.print(f"{found.pictures:,} pictures{patients} would be taken{f', {channels}' if channels else ''}.")
    for title, counts, most in _tables(found):
        if counts:
            console.print(_counts(title, counts, most))
    if found.classes:
        console.print("Researchers will see these classes:")
        console.print(_counts("class", found.classes, _MOST_CLASSES))
    if found.left_out:
        console.print("These would be left out:")
        table = PlainTable("count", "reason", "what it is and what to do", "for instance")
        for group in found.left_out:
            table.add_row(f"{group.count:,}", group.code, f"{group.means} {group.advice}", group.examples[0])
        console.print(table)
    if found.label_attributes:
        console.print("Labels could come from one of these attributes:")
        table = PlainTable("labels_from", "values and files")
        for name, values in found.label_attributes.items():
            told = ", ".join(f"{value or '(none)'} {count:,}" for value, count in values.items())
            table.add_row(name, told)
        console.print(table)
    for line in found.identity:
        console.print(f"Look at this: {line}")
    if found.problem:
        console.print(f"Nothing would be published as it is: {found.problem}")
        for line in found.problem_details:
            console.print(f"{MARGIN}{line}")
    for note in found.notes:
        console.print(f"Note: {note}")
    if found.settings:
        console.rule("For config.toml")


def _tables(found: Inspection) -> tuple[tuple[str, dict[str, int], int], ...]:
    return (
        ("format", found.kinds, _MOST_CLASSES),
        ("modality", found.modalities, _MOST_CLASSES),
        ("height x width", found.sizes, _MOST_SIZES),
    )


def _counts(title: str, counts: dict[str, int], most: int) -> PlainTable:
    table = PlainTable(title, "pictures")
    rows = list(counts.items())
    for name, count in rows[:most]:
        table.add_row(name, f"{count:,}")
    if len(rows) > most:
        table.add_row(f"{len(rows) - most} more", f"{sum(count for _, count in rows[most:]):,}")
    return table
