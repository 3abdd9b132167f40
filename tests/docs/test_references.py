"""The documentation says what the code does: settings, limits, commands, error codes, links."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
import references
from references import PROJECT
from support import declared_settings

from policies import errors
from policies.errors import WanwuError
from policies.settings import declared
from researcher.planning import declared_settings as table

DOCS = PROJECT / "docs"
MADE = {".venv", "out", "state", "build"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
# Folders of somebody's machine. In parts, so that this file does not name one.
MACHINE_PATH = re.compile(r"(?<![\w.}])/(?:" + "|".join(("work", "home", "root", "Users", "mnt", "srv")) + r")/\w")


@cache
def _files(*suffixes: str) -> tuple[Path, ...]:
    """Files of the project, not what it made or installed."""
    tops = [path for path in PROJECT.iterdir() if path.name not in MADE and not path.name.startswith(".")]
    found = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*")) if file.is_file()]
    return tuple(sorted(file for file in found if file.suffix in suffixes and "__pycache__" not in file.parts))


@cache
def _texts() -> dict[Path, str]:
    """Every page as Markdown: the pages themselves, and the notebook's Markdown cells."""
    texts = {page: page.read_text() for page in _files(".md")}
    for notebook in _files(".ipynb"):
        cells = json.loads(notebook.read_text())["cells"]
        texts[notebook] = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return texts


@cache
def _shell_lines() -> list[tuple[Path, str]]:
    """Each line that a reader is told to type."""
    found = []
    for page, text in _texts().items():
        for block in SHELL.findall(text):
            lines = (line.split(" #")[0].strip() for line in block.splitlines())
            found += [(page, line) for line in lines if line]
    return found


def _error_classes() -> dict[str, type[WanwuError]]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, WanwuError)]
    return {kind.code: kind for kind in kinds}


def _anchors(text: str) -> set[str]:
    """Anchors as they are made from headings: lower case, spaces to dashes, no punctuation."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- what the code knows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", references.pages(), ids=lambda page: page.name)
def test_tables_of_the_reference_pages_are_those_of_the_code(page: Path) -> None:
    assert page.read_text() == references.render(page.read_text()), "run: python tests/references.py"


def test_the_table_that_options_are_made_of_is_what_the_settings_classes_declare() -> None:
    assert declared_settings.FILE.read_text() == declared_settings.render(), "run: python tests/references.py"
    for name, owner in declared_settings.OWNERS.items():
        assert getattr(table, name) == tuple(declared(owner).values()), name


@pytest.mark.parametrize("row", references.settings() + references.limits(), ids=lambda row: row[0])
def test_each_setting_and_limit_stands_in_its_page_with_its_default(row: references.Row) -> None:
    name, default, told = row
    shown = f"`{default}`" if default else ""
    assert told
    assert f"| `{name}` | {shown} | {told.replace('|', chr(92) + '|')} |" in (DOCS / "ref-settings.md").read_text()


@cache
def _all_commands() -> list[tuple[str, list[references.Row]]]:
    found = [one for call, program in references.programs().items() for one in references.commands(call, program)]
    return [(command, arguments) for command, _, arguments in found]


@pytest.mark.parametrize(("command", "arguments"), _all_commands(), ids=lambda value: str(value)[:40])
def test_each_command_stands_in_its_page_with_its_arguments(command: str, arguments: list[references.Row]) -> None:
    program = (
        (DOCS / "ref-cli.md").read_text().split(f"`{' '.join(command.split()[:3])}`", 1)[1].split("<!-- end -->")[0]
    )
    for_all, *sections = program.split("### ")
    own = [section for section in sections if section.startswith(f"{command}\n")] if sections else [for_all]
    assert len(own) == 1
    for name, _, _ in arguments:
        assert f"| `{name.split()[0]}" in for_all + own[0], name


def test_each_error_code_has_its_section_and_each_section_its_code() -> None:
    page = (DOCS / "ref-errors.md").read_text()
    sections = re.findall(r"^### (WW\d{3}) (\w+)\n\nHTTP status (\d{3})", page, re.MULTILINE)
    known = [(code, kind.__name__, str(kind.status)) for code, kind in sorted(_error_classes().items())]
    assert sections == known


def test_each_error_section_says_when_and_what_to_do() -> None:
    page = (DOCS / "ref-errors.md").read_text()
    for section in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        assert "**When:**" in section, section[:40]
        assert "**Do:**" in section, section[:40]


def test_no_two_errors_share_a_code() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, WanwuError)]
    assert len(kinds) == len(_error_classes())


# --- what a reader types -------------------------------------------------------------------------------------


def _program(line: str) -> tuple[click.Command, list[str]] | None:
    for call, program in references.programs().items():
        if line.startswith(call):
            return program, shlex.split(line.removeprefix(call))
    return None


@pytest.mark.parametrize(
    "line", sorted({line for _, line in _shell_lines() if _program(line)}), ids=lambda line: line[:60]
)
def test_each_command_that_a_page_tells_to_type_is_understood(line: str) -> None:
    found = _program(line)
    assert found
    references.understood(*found)


def test_the_readme_tells_to_type_every_part_of_the_walk_through() -> None:
    typed = [line for page, line in _shell_lines() if page == PROJECT / "README.md"]
    for start in ("make demo", "make test", "python launch_datasites.py --name", "python -m datasites approve"):
        assert any(line.startswith(start) for line in typed), start


def test_the_chinese_readme_tells_to_type_what_the_english_one_does_and_leads_to_the_same_pages() -> None:
    english, chinese = (PROJECT / name for name in ("README.md", "README.zh-CN.md"))
    typed = {page: [line for other, line in _shell_lines() if other == page] for page in (english, chinese)}
    assert "python launch_datasites.py" in typed[chinese]
    assert typed[chinese] == typed[english]
    followed = {
        page: {
            target.with_name(target.name.replace(".zh-CN", ""))
            for link, target, _ in _links(page, _texts()[page])
            if not link.startswith(("#", "README"))
        }
        for page in (english, chinese)
    }
    assert sorted(followed[english] ^ followed[chinese]) == []


def test_the_chinese_tutorial_tells_to_type_what_the_english_one_does_and_shows_what_is_printed() -> None:
    blocks = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
    english, chinese = (
        blocks.findall((DOCS / f"tutorial-first-hospital{language}.md").read_text()) for language in ("", ".zh-CN")
    )
    assert len(english) > 20
    assert chinese == english


def test_each_command_that_is_said_to_need_no_running_datasite_exists() -> None:
    page = (DOCS / "ref-cli.md").read_text()
    passage = page[page.index("which listens on loopback and wants the token") : page.index("need no running datasite")]
    named = re.findall(r"`([a-z ]+)`", passage)
    assert len(named) > 10
    assert [name for name in named if f"### python -m datasites {name}\n" not in page] == []


def _make_targets(text: str) -> Iterator[str]:
    for code in re.findall(r"`([^`\n]+)`", text) + SHELL.findall(text):
        yield from re.findall(r"^make ([a-z][a-z-]*)", code, re.MULTILINE)


def test_each_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for page, text in _texts().items():
        assert set(_make_targets(text)) <= targets, page


# --- what a reader follows -----------------------------------------------------------------------------------


def _links(page: Path, text: str) -> Iterator[tuple[str, Path, str]]:
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for link in LINK.findall(prose):
        if "://" not in link and not link.startswith("mailto:"):
            path, _, anchor = link.partition("#")
            yield link, (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("page", sorted(_texts()), ids=lambda page: page.name)
def test_each_relative_link_leads_somewhere(page: Path) -> None:
    for link, target, anchor in _links(page, _texts()[page]):
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target.read_text()), link


def test_each_page_can_be_reached_from_the_readme() -> None:
    texts, seen, left = _texts(), set(), [PROJECT / "README.md"]
    while left:
        page = left.pop()
        if page in texts and page not in seen:
            seen.add(page)
            left += [target for _, target, _ in _links(page, texts[page])]
    assert set(texts) == seen


def test_each_page_is_one_click_from_the_readme_or_from_how_to_contribute() -> None:
    listed = {
        target
        for page in ("README.md", "CONTRIBUTING.md")
        for _, target, _ in _links(PROJECT / page, _texts()[PROJECT / page])
    }
    pages = {page for page in _texts() if page.parent == DOCS and not page.stem.endswith(".zh-CN")}
    assert sorted(page.name for page in pages - listed) == []


def test_each_page_that_the_code_names_exists() -> None:
    for file in _files(".py", ".toml"):
        for name in re.findall(r"docs/[\w/-]+\.(?:md|ipynb)", file.read_text()):
            assert (PROJECT / name).exists(), f"{file.relative_to(PROJECT)} names {name}"


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(page.name[:4]) for page in sorted((DOCS / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
    for page in (DOCS / "decisions").glob("*.md"):
        assert page.read_text().startswith(f"# {int(page.name[:4])}. ")


def test_architecture_lists_every_decision_by_its_number_and_title() -> None:
    listed = re.findall(
        r"^(\d+)\. \[(.+)\]\(decisions/(.+\.md)\)", (DOCS / "explanation-architecture.md").read_text(), re.M
    )
    pages = sorted((DOCS / "decisions").glob("*.md"))
    assert [f"# {number}. {title}" for number, title, _ in listed] == [
        page.read_text().partition("\n")[0] for page in pages
    ]
    assert [name for _, _, name in listed] == [page.name for page in pages]


def test_the_changelog_says_each_thing_once_and_names_pages_that_exist() -> None:
    text = (PROJECT / "CHANGELOG.md").read_text()
    unreleased = text.partition("## [Unreleased]")[2].partition("\n## [")[0]
    for name in re.findall(r"docs/[\w/-]+\.(?:md|ipynb)", unreleased):
        assert (PROJECT / name).exists(), f"CHANGELOG.md names {name}"
    openings = [line[:60] for line in unreleased.splitlines() if line.startswith("- ")]
    assert sorted(line for line in set(openings) if openings.count(line) > 1) == []


def test_no_text_names_a_place_on_somebodys_machine() -> None:
    for file in [*_files(".py", ".md", ".toml", ".txt", ".ipynb", ".sql", ".jinja", ".css"), PROJECT / "Makefile"]:
        if found := MACHINE_PATH.search(file.read_text()):
            pytest.fail(f"{file.relative_to(PROJECT)} names {found[0]}...")


def test_the_readmes_picture_is_small() -> None:
    assert (DOCS / "images" / "demo-result.png").stat().st_size < 200_000
