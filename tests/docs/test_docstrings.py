"""Docstrings say what a reader needs: the shapes of arrays, and what each module is about."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("policies", "datasites", "researcher")
ARRAY = re.compile(r"\b(?:Tensor|ndarray|NDArray)\b")
# `(B, C, H, W)`, `(N,)`, `(*shape)`; or, where it is another's, its "shape".
_AXIS = r"(?:\*?[\w.]+(?: [*+/-] \w+)*)"
SHAPE = re.compile(rf"(?<!\w)\((?:\*\w+|{_AXIS},(?: {_AXIS}(?:, {_AXIS})*)?)\)|\bshapes?\b")
_SPECIAL = ("__init__", "__call__")
REFERENCE = re.compile(r"\b(?:[Ss]ee|[Aa]s) `([\w.]+)`")


@dataclass(frozen=True)
class PublicFunction:
    """A function, method or property that others may call.

    Attributes:
        place: File and line.
        name: `function`, or `Class.method`.
        node: Its definition.
        text: Its own docstring and, of a constructor, its class's.
    """

    place: str
    name: str
    node: ast.FunctionDef
    text: str

    @property
    def takes_arrays(self) -> bool:
        """Whether an argument or what comes back is an array."""
        arguments = self.node.args
        everything = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        annotations = [argument.annotation for argument in everything] + [self.node.returns]
        return any(ARRAY.search(ast.unparse(one)) for one in annotations if one is not None)


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@cache
def _public_functions() -> tuple[PublicFunction, ...]:
    files = [file for package in PACKAGES for file in sorted((PROJECT / package).rglob("*.py"))]
    return tuple(found for file in files for found in _in(file))


def _in(file: Path) -> Iterator[PublicFunction]:
    place = str(file.relative_to(PROJECT))
    for node in _tree(file).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield PublicFunction(f"{place}:{node.lineno}", node.name, node, ast.get_docstring(node) or "")
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            about = ast.get_docstring(node) or ""
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and (inner.name[0] != "_" or inner.name in _SPECIAL):
                    own = ast.get_docstring(inner) or ""
                    text = f"{own}\n{about}" if inner.name == "__init__" else own
                    yield PublicFunction(f"{place}:{inner.lineno}", f"{node.name}.{inner.name}", inner, text)


def _states_a_shape(one: PublicFunction, *, hops: int = 2) -> bool:
    """Whether a docstring states a shape, or refers to that of a function that does."""
    if SHAPE.search(one.text):
        return True
    referred = set(REFERENCE.findall(one.text)) if hops else set()
    return any(_states_a_shape(other, hops=hops - 1) for other in _public_functions() if other.name in referred)


def test_every_public_function_of_arrays_states_their_shapes() -> None:
    functions = [one for one in _public_functions() if one.takes_arrays]
    assert len(functions) > 100
    assert [f"{one.place} {one.name}" for one in functions if not _states_a_shape(one)] == []


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("images: float32, (B, C, H, W).", True),
        ("float64, (B,).", True),
        ("float32 by name, each of its parameter's shape.", True),
        ("The gradients, float32.", False),
        ("Calls `f()` (twice, or more often).", False),
    ],
)
def test_what_counts_as_a_shape(text: str, states: bool) -> None:
    assert bool(SHAPE.search(text)) == states


QUESTIONS = re.compile(r"(?:What|How|Whether|Which|Where|Whose|Who|When|Told|Likewise)\b")
# Words that the glossary traded for the field's, as parts of names in code.
TRADED = re.compile(
    r"nursery|companion|patience|doorway|last_words|still_approved|(?:^|_)(?:wish(?:es)?|wire|team)(?:_|$)",
    re.IGNORECASE,
)


def _modules() -> list[Path]:
    return [file for package in PACKAGES for file in sorted((PROJECT / package).rglob("*.py"))]


def test_the_first_sentence_of_each_module_names_its_subject() -> None:
    texts = {file: ast.get_docstring(_tree(file)) or "" for file in _modules()}
    assert [str(file.relative_to(PROJECT)) for file, text in texts.items() if not text or QUESTIONS.match(text)] == []


def test_no_name_in_the_code_is_a_word_that_the_glossary_traded() -> None:
    found = set()
    for file in _modules():
        for node in ast.walk(_tree(file)):
            names = {getattr(node, part, None) for part in ("id", "attr", "arg", "name")}
            found |= {f"{file.name}: {name}" for name in names if isinstance(name, str) and TRADED.search(name)}
    assert sorted(found) == []
