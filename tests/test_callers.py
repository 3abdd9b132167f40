"""No part of the product without a caller in it: what tests alone call is not what runs at a hospital."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("policies", "datasites", "researcher")
# Files of the product, and pages that tell people to call something, that are no Python.
OTHERS = ("Containerfile", "pyproject.toml", "docs/how-to-*.md", *(f"{package}/**/*.jinja" for package in PACKAGES))
# What the reference pages are made of.
MAKES_PAGES = ("tests/references.py", "tests/support/dicom_tables.py")
# Called by a researcher with counts of several hospitals; and what says which values of a plan's field are later.
FOR_PEOPLE, FOR_LATER = {"summed_noise"}, {"values_added_in"}


def _sources() -> dict[str, ast.Module]:
    """Every module of the product, by its path."""
    files = [file for package in PACKAGES for file in sorted((PROJECT / package).rglob("*.py"))]
    files.append(PROJECT / "launch_datasites.py")
    return {str(file.relative_to(PROJECT)): ast.parse(file.read_text()) for file in files}


def _defined(tree: ast.Module) -> Iterator[str]:
    """The names that a module defines at its top; not those that a decorator takes."""
    for statement in tree.body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                if not statement.decorator_list:
                    yield statement.name
            case ast.Assign(targets=targets):
                stored = (node for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
                yield from (node.id for node in stored)
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name


def _told(tree: ast.Module) -> set[int]:
    """The constants that are docstrings, by identity."""
    holders = (node for node in ast.walk(tree) if hasattr(node, "body") and isinstance(node.body, list))
    firsts = (statement for node in holders for statement in node.body if isinstance(statement, ast.Expr))
    return {id(statement.value) for statement in firsts}


def _used(tree: ast.Module) -> Iterator[str]:
    """The names that a module reads, imports or says in a text that is no docstring."""
    told = _told(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name) | ast.alias(name=name):
                yield name
            case ast.Constant(value=str(text)) if id(node) not in told:
                yield from re.findall(r"\w+", text)


def test_every_name_of_the_product_is_used_in_it() -> None:
    sources = _sources()
    of_each = {path: set(_used(tree)) for path, tree in sources.items()}
    files = [file for pattern in (*OTHERS, *MAKES_PAGES) for file in PROJECT.glob(pattern)]
    others = {word for file in files for word in re.findall(r"\w+", file.read_text())}
    used = {*others, *FOR_PEOPLE, *FOR_LATER, *(name for names in of_each.values() for name in names)}
    unused = [
        f"{path}: {name}"
        for path, tree in sources.items()
        for name in _defined(tree)
        if not name.startswith("__") and name not in (of_each[path] | others if name.startswith("_") else used)
    ]
    assert unused == []
