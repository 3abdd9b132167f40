"""The public Python API: what the packages export, that it is described whole, and that importing them stays light."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support import python_api
from support.python_api import PACKAGES, PROJECT, Exported

ROOTS = ("policies", "datasites", "researcher")
HEAVY = {"torch", "syft", "opacus", "timm", "torchvision", "numpy", "matplotlib"}
REFERENCE = re.compile(r"\b(?:[Ss]ee|[Aa]s) `[\w.]+`")
EXPORTED = [one for package in PACKAGES for one in python_api.exported(package)]


def _init(package: str) -> ast.Module:
    return ast.parse((PROJECT.joinpath(*package.split(".")) / "__init__.py").read_text())


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_exports_what_it_lists_and_nothing_else(package: str) -> None:
    module = importlib.import_module(package)
    checked = {
        alias.name: node.module
        for branch in _init(package).body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(module._HOMES) == sorted(module.__all__)
    assert checked == module._HOMES
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="no attribute 'not_exported'"):
        _ = module.not_exported


@pytest.mark.parametrize(("package", "name"), [("researcher", "TrainingPlan"), ("datasites.training", "accuracy")])
def test_an_exported_name_is_that_of_its_module(package: str, name: str) -> None:
    # That each of the others is defined where it is said to be, `python_api.exported` has found out without importing.
    module = importlib.import_module(package)
    assert getattr(module, name) is getattr(importlib.import_module(module._HOMES[name]), name)


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_none_of_its_modules_and_no_heavy_library(package: str) -> None:
    program = f"import sys, {package}; print(*sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = ran.stdout.split()
    assert not HEAVY & set(loaded)
    assert [name for name in loaded if name.split(".")[0] in ROOTS] == sorted({package.split(".")[0], package})


@pytest.mark.parametrize("one", EXPORTED, ids=lambda one: f"{one.package}.{one.name}")
def test_each_exported_name_is_described_with_all_its_parameters(one: Exported) -> None:
    assert one.text, "no docstring"
    for member in python_api.members(one):
        text = ast.get_docstring(member.node) or ""
        assert text, f"{member.name} has no docstring"
        arguments = [*member.node.args.args, *member.node.args.kwonlyargs]
        names = {argument.arg for argument in arguments} - {"self", "cls"}
        silent = {name for name in names if not re.search(rf"\b{name}\b", text)}
        assert not silent or REFERENCE.search(text), f"{member.name} says nothing of {', '.join(sorted(silent))}"


def test_each_package_says_that_it_is_typed_and_ships_the_mark() -> None:
    data = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for root in ROOTS:
        assert (PROJECT / root / "py.typed").is_file()
        assert "py.typed" in data[root]


def test_the_notebook_imports_one_name_space() -> None:
    cells = json.loads((PROJECT / "docs" / "tutorial-first-study.ipynb").read_text())["cells"]
    source = "\n".join(
        line
        for cell in cells
        if cell["cell_type"] == "code"
        for line in "".join(cell["source"]).splitlines()
        if not line.startswith("%")
    )
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name for name in imported if name and name.split(".")[0] in ROOTS} == {"researcher"}


# Pages for those who use the library; `how-to-add-` pages are for those who change it, inside its packages.
PAGES = [page for page in sorted((PROJECT / "docs").glob("*.md")) if not page.name.startswith("how-to-add-")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_imports_of_the_library_is_exported(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.splitlines():
            if match := re.match(r"from (researcher|datasites\.training)(\S*) import (.+)", line):
                package, inner, names = match.groups()
                assert not inner, line
                assert set(names.split(", ")) <= set(importlib.import_module(package).__all__), line
