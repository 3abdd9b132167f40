"""What leaves by the few edges that show texts safely, read from the sources: a new call site cannot go around them."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
FILES = sorted(
    [PROJECT / "launch_datasites.py"]
    + [file for package in ("policies", "datasites", "researcher") for file in (PROJECT / package).rglob("*.py")]
)
PRINTS = {
    "policies/terminal/printing.py",
    "datasites/cli/serving.py",  # the one line `ready URL`, of the hospital's own address
}
MAKES_RICH = {"policies/terminal/rich_terminal.py"}
WRITES_STREAMS = {
    "datasites/datasets/samples/draw_sheet.py",  # a picture for the datasite's own process
    "datasites/runs/sandbox/confinement.py",  # JSON for the datasite's own process
    "datasites/runs/sandbox/gpu_trial.py",  # JSON for the datasite's own process
    "datasites/runs/slurm/trial.py",  # JSON for the datasite's own process, from a node
    "policies/terminal/entry.py",  # one sentence of its own, where nothing else is imported yet
}
OBEYED_BY_RICH = {"Console", "Table", "Text", "Markup", "Panel", "Prompt", "print", "escape", "Markdown", "inspect"}


READ = {
    *("print", "sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer.write", "os.system"),
    *("TextColumn", "Environment", "Html", "csv.writer", "csv.DictWriter", "show_everything", "uvicorn.Config"),
}
"""The functions whose calls are looked at here."""


@cache
def _code(file: Path) -> tuple[ast.AST, ...]:
    """Of all nodes but those that only a type checker reads: imports, what notebooks show by, and calls of `READ`."""
    kept: list[ast.AST] = []
    waiting: list[ast.AST] = [ast.parse(file.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if (
            (isinstance(node, ast.Call) and _named(node.func) in READ)
            or isinstance(node, ast.Import | ast.ImportFrom)
            or (isinstance(node, ast.FunctionDef) and node.name.startswith("_repr_"))
        ):
            kept.append(node)
        waiting += ast.iter_child_nodes(node)
    return tuple(kept)


def _named(node: ast.AST) -> str:
    """A name with its dots; nothing for what is computed."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _where(found: dict[str, list[int]]) -> dict[str, list[int]]:
    return {name: lines for name, lines in found.items() if lines}


def _calls(*names: str) -> dict[str, list[int]]:
    assert set(names) <= READ
    return _where(
        {
            str(file.relative_to(PROJECT)): [
                node.lineno for node in _code(file) if isinstance(node, ast.Call) and _named(node.func) in names
            ]
            for file in FILES
        }
    )


def test_nothing_prints_but_the_one_place_that_shows_texts() -> None:
    assert set(_calls("print")) == PRINTS


def test_nothing_writes_to_the_terminals_streams() -> None:
    writes = _calls("sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer.write", "os.system")
    assert set(writes) == WRITES_STREAMS


def test_only_one_module_makes_what_rich_prints() -> None:
    for file in FILES:
        imported = [
            alias.name
            for node in _code(file)
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rich"
            for alias in node.names
        ]
        if str(file.relative_to(PROJECT)) not in MAKES_RICH:
            assert not OBEYED_BY_RICH & set(imported), file
        assert not any(
            alias.name.split(".")[0] == "rich"
            for node in _code(file)
            if isinstance(node, ast.Import)
            for alias in node.names
        ), file


def test_columns_of_progress_read_no_markup() -> None:
    for file in FILES:
        for node in _code(file):
            if isinstance(node, ast.Call) and _named(node.func) == "TextColumn" and "fields" in ast.unparse(node):
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert given.get("markup") == "False" or ">3" in ast.unparse(node), (file, node.lineno)


def test_the_pages_escape_and_show_every_value() -> None:
    made = _calls("Environment")
    pages = ("researcher/reports", "datasites/datasets", "datasites/review", "datasites/study_report")
    record = "datasites/review/page.py"  # in every language
    console = "datasites/pages/frame/templates.py"  # whose own tests show that it escapes, in every language
    assert set(made) == {console, *(f"{room}/page.py" for room in pages)}
    for name in set(made) - {console}:
        page = importlib.import_module(name.removesuffix(".py").replace("/", "."))
        environments = [page._TEMPLATES] if name != record else [page._template(one).environment for one in page.CODES]
        for environment in environments:
            text = environment.from_string("{{ text }}{{ more }}").render(text="<b>\x1b", more="a\u202eb")
            assert text == "&lt;b&gt;\\x1ba\\u202eb"
        (template,) = (PROJECT / name).parent.rglob("page.html.jinja")
        assert not re.search(r"\|\s*safe", template.read_text())


def test_classes_show_themselves_in_a_notebook_by_escaped_elements_alone() -> None:
    """Types are checked: only the room of elements makes a text into `Html`."""
    for file in FILES:
        code = _code(file)
        for node in code:
            if isinstance(node, ast.FunctionDef):
                assert node.name == "_repr_html_", file
                assert node.returns and ast.unparse(node.returns) == "Html", file
        if file.parent.name != "html":
            assert not [node for node in code if isinstance(node, ast.Call) and _named(node.func) == "Html"], file


def test_spreadsheets_are_written_through_cells() -> None:
    for name in _calls("csv.writer", "csv.DictWriter"):
        assert "csv_cell" in (PROJECT / name).read_text(), name


def test_every_program_shows_its_last_words_too() -> None:
    programs = {"launch_datasites.py", "policies/__main__.py", "datasites/cli/program.py", "researcher/cli/program.py"}
    assert set(_calls("show_everything")) == programs
    assert {"datasites/researchers_port/mutual_tls.py", "datasites/web/listening.py"} <= {
        name for name in _calls("uvicorn.Config") if "log_config=None" in (PROJECT / name).read_text()
    }
