"""Renders the parts of pages that the code itself knows: settings, limits, commands, rooms, the Python API.

    python tests/references.py        writes them into docs/, between their markers, and the table of settings that
                                      the researcher's options are made of

`tests/docs/test_references.py` fails while a page says something else than the code.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import click

PROJECT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))

import test_layers  # noqa: E402
from support import declared_settings, dicom_tables, error_tree, python_api, shipped_dicom  # noqa: E402

import launch_datasites  # noqa: E402
from datasites.cli import program as datasites_program  # noqa: E402
from datasites.config import DatasiteConfig  # noqa: E402
from datasites.notices.settings import NoticeSettings  # noqa: E402
from datasites.picture_files.reasons import REASONS  # noqa: E402
from datasites.sources.dataset_settings import DatasetSettings  # noqa: E402
from datasites.sources.reasons import REASONS as SOURCE_REASONS  # noqa: E402
from policies import __main__ as policies_cli  # noqa: E402
from policies.budget.limits import DatasetLimits  # noqa: E402
from policies.graphs.limits import LIMITS, GraphLimits  # noqa: E402
from policies.graphs.losses.loss_graph import LOSS_LIMITS  # noqa: E402
from policies.graphs.operators import OPERATORS  # noqa: E402
from researcher.cli import program as researcher_program  # noqa: E402

Row = tuple[str, str, str]
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
_BLOCK = re.compile(r"(<!-- made from the code: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def settings() -> list[Row]:
    """Each setting of a datasite: name, default as TOML, help."""
    defaults = _toml(DatasiteConfig(name="x").to_toml().split("[dataset]")[0]) | {"name": ""}
    helps = {f.name: str(f.metadata["help"]) for f in fields(DatasiteConfig)}
    return [(name, defaults[name], helps[name]) for name in defaults]


def dataset_settings() -> list[Row]:
    """Each setting of a dataset, likewise."""
    defaults = _toml(DatasiteConfig(name="x").to_toml().split("[dataset]")[1].split("[notices]")[0])
    return [(f.name, defaults[f.name], str(f.metadata["help"])) for f in fields(DatasetSettings)]


def notice_settings() -> list[Row]:
    """Each setting of where notices go, likewise."""
    defaults = _toml(DatasiteConfig(name="x").to_toml().split("[notices]")[1].split("[limits]")[0])
    return [(f.name, defaults[f.name], str(f.metadata["help"])) for f in fields(NoticeSettings)]


def limits() -> list[Row]:
    """Each limit of a dataset: name, default as TOML, what its class says of it."""
    defaults = _toml(DatasiteConfig(name="x").to_toml().split("[limits]")[1])
    told = {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(inspect.getdoc(DatasetLimits) or "")}
    return [(f.name, defaults[f.name], told[f.name]) for f in fields(DatasetLimits)]


def graph_operators() -> list[tuple[str, ...]]:
    """Each operator of graphs: name, what it does, its attributes, what its rule asks of the pictures' axis."""
    return [
        (f"`{name}`", one.does, ", ".join(f"`{a}`" for a in one.attributes), one.pictures)
        for name, one in OPERATORS.items()
    ]


def graph_limits(of: GraphLimits = LIMITS) -> list[Row]:
    """Each limit of a graph that allows anything: name, value, what its class says of it."""
    told = {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(inspect.getdoc(GraphLimits) or "")}
    return [(f.name, f"{getattr(of, f.name):,}", told[f.name]) for f in fields(GraphLimits) if getattr(of, f.name)]


@cache
def programs() -> dict[str, click.Command]:
    """The programs, by how each is called; made once, and read only."""
    parts = (launch_datasites, datasites_program, researcher_program, policies_cli)
    return {str(program.name): program for program in (part.make_program() for part in parts)}


def commands(call: str, program: click.Command) -> Iterator[tuple[str, str, list[Row]]]:
    """Each command that a program has: how it is called, what it does, its arguments."""
    if isinstance(program, click.Group):
        if program.invoke_without_command:
            yield _described(call, program)
        for name, inner in program.commands.items():
            yield from commands(f"{call} {name}", inner)
        return
    yield _described(call, program)


def _described(call: str, program: click.Command) -> tuple[str, str, list[Row]]:
    context = click.Context(program)
    params = [
        param
        for param in program.get_params(context)
        if "--help" not in param.opts and not getattr(param, "hidden", False)
    ]
    return call, " ".join((program.help or "").split()), [_argument(param, context) for param in params]


def understood(program: click.Command, words: Sequence[str]) -> dict[str, Any]:
    """What a command would be given of a command line, which is read and not run.

    Raises:
        click.UsageError: It is wrong.
    """
    while isinstance(program, click.Group) and words[0] in program.commands:
        program, words = program.commands[words[0]], words[1:]
    return program.make_context(program.name, list(words)).params


def render(page: str) -> str:
    """The page with the parts between its markers made anew."""
    return _BLOCK.sub(lambda found: f"{found[1]}{_PARTS[found[2]]()}\n{found[3]}", page)


def pages() -> list[Path]:
    """The pages that have such parts."""
    return [page for page in sorted((PROJECT / "docs").glob("*.md")) if _BLOCK.search(page.read_text())]


def _argument(param: click.Parameter, context: click.Context) -> Row:
    if not isinstance(param, click.Option):
        return param.make_metavar(context), "", param.help or ""
    name = ", ".join(param.opts) + ("" if param.is_flag else f" {param.make_metavar(context)}")
    return name, "required" if param.required else "", param.help or ""


def _toml(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if " = " in line and not line.startswith("#")]
    return dict(line.split(" = ", 1) for line in lines)


def _table(rows: list[Row], *head: str) -> str:
    told = [(f"`{name}`", f"`{default}`" if default else "", text) for name, default, text in rows]
    return _lines([head, ("---", "---", "---"), *told])


def _arguments(rows: list[Row]) -> str:
    told = [(f"`{name}`", f"{text} ({needed})" if needed else text) for name, needed, text in rows]
    return _lines([("argument", "what it is"), ("---", "---"), *told])


def _lines(rows: list[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _commands_of(call: str) -> str:
    """All commands of a program; arguments that every one takes are told once."""
    found = list(commands(call, programs()[call]))
    if found[0][0] == call:
        return _arguments(found[0][2])
    shared = [row for row in found[0][2] if len(found) > 1 and all(row in rows for _, _, rows in found)]
    told = ["Every command takes these:", _arguments(shared)] if shared else []
    for command, text, rows in found:
        own = [row for row in rows if row not in shared]
        told += [f"### {command}", text, *([_arguments(own)] if own else [])]
    return "\n\n".join(told)


_PARTS = {
    "settings": lambda: _table(settings(), "setting", "default", "what it is"),
    "dataset_settings": lambda: _table(dataset_settings(), "setting", "default", "what it is"),
    "notice_settings": lambda: _table(notice_settings(), "setting", "default", "what it is"),
    "limits": lambda: _table(limits(), "limit", "default", "what it is"),
    "graph_operators": lambda: _lines(
        [("operator", "what it gives", "attributes", "the axis of the pictures"), ("---",) * 4, *graph_operators()]
    ),
    "graph_limits": lambda: _table(graph_limits(), "limit", "value", "what it counts"),
    "loss_limits": lambda: _table(graph_limits(LOSS_LIMITS), "limit", "value", "what it counts"),
    "launcher": lambda: _commands_of("python launch_datasites.py"),
    "datasites": lambda: _commands_of("python -m datasites"),
    "researcher": lambda: _commands_of("python -m researcher"),
    "policies": lambda: _commands_of("python -m policies"),
    "picture_reasons": lambda: _lines(
        [
            ("reason", "what is wrong", "what to do"),
            ("---", "---", "---"),
            *((f"`{one.code}`", one.means, one.advice) for one in REASONS),
        ]
    ),
    "source_reasons": lambda: _lines(
        [
            ("reason", "what is wrong", "what to do"),
            ("---", "---", "---"),
            *((f"`{one.code}`", one.means, one.advice) for one in SOURCE_REASONS),
        ]
    ),
    "errors": lambda: f"```text\n{error_tree.draw()}\n```",
    "rooms": lambda: f"{test_layers.counted()}\n\n{_lines(test_layers.picture())}",
    "dicom_files": lambda: _lines(shipped_dicom.table()),
    "dicom_read": lambda: _lines(dicom_tables.read()),
    "dicom_reasons": lambda: _lines(dicom_tables.reasons()),
    "dicom_stops": lambda: _lines(dicom_tables.stops()),
    "python_api": lambda: f"\n{python_api.render()}\n",
}


if __name__ == "__main__":
    declared_settings.FILE.write_text(declared_settings.render())  # first: the pages tell the options that it makes
    print(f"Written: {declared_settings.FILE.relative_to(PROJECT)}")
    for page in pages():
        page.write_text(render(page.read_text()))
        print(f"Written: {page.relative_to(PROJECT)}")
