"""The public Python API as Markdown: what a package's `__all__` names, with signatures and docstrings.

Read from the sources without importing them, so that the pages of the documentation are made without torch.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("researcher", "datasites.training")
_SECTIONS = ("Guarantees", "Args", "Attributes", "Returns", "Yields", "Raises")
_SECTION = re.compile(rf"^({'|'.join(_SECTIONS)}):$", re.MULTILINE)
_WITH_ENTRIES = {"Args", "Attributes", "Raises"}
_SIGNATURE_WIDTH = 100
_SHOWN_DUNDERS = {"__len__", "__call__"}
_PROPERTIES = {"property", "cached_property"}

Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True)
class Exported:
    """One public name.

    Attributes:
        package: Which package exports it.
        name: As it is imported from the package.
        module: Where it is defined.
        node: Its definition.
        text: Its docstring, dedented; empty if there is none.
    """

    package: str
    name: str
    module: str
    node: Definition
    text: str


@dataclass(frozen=True)
class Member:
    """A public function, or a public method or property of an exported class: its full name and its definition."""

    name: str
    node: ast.FunctionDef
    owner: ast.ClassDef | None = None


def exported(package: str) -> list[Exported]:
    """What a package's `__all__` names, in its order."""
    module = importlib.import_module(package)
    found = []
    for name in module.__all__:
        home, node, text = _definition(module._HOMES[name], name)
        found.append(Exported(package, name, home, node, text))
    return found


def members(one: Exported) -> list[Member]:
    """The function itself, or a class's methods and properties, with those it inherits from classes not exported."""
    if isinstance(one.node, ast.FunctionDef):
        return [Member(one.name, one.node)]
    if not isinstance(one.node, ast.ClassDef):
        return []
    functions: dict[str, Member] = {}
    public = importlib.import_module(one.package).__all__
    for owner in _with_bases(one.module, one.node):
        if owner is not one.node and owner.name in public:
            continue
        for node in owner.body:
            if isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name in _SHOWN_DUNDERS):
                functions.setdefault(node.name, Member(f"{one.name}.{node.name}", node, owner))
    return list(functions.values())


def render() -> str:
    """The whole reference: a section for each package, a heading for each name."""
    seen: dict[tuple[str, str], str] = {}
    parts = []
    for package in PACKAGES:
        parts.append(f"## {package}")
        for one in exported(package):
            parts.append(f"### {package}.{one.name}")
            place = (one.module, one.name)
            if place in seen:
                parts.append(f"The same as `{seen[place]}`.")
                continue
            seen[place] = f"{package}.{one.name}"
            parts += _described(one)
    return "\n\n".join(part for part in parts if part)


def _described(one: Exported) -> Iterator[str]:
    if isinstance(one.node, ast.Assign | ast.AnnAssign):
        yield _fenced(_assigned(one.node) if isinstance(one.node, ast.Assign) else _annotated(one.node))
        yield _prose(one.text)
        return
    if isinstance(one.node, ast.ClassDef):
        yield _fenced(_constructor(one))
        yield _prose(one.text)
        for base in one.node.bases:
            yield f"Inherits from `{ast.unparse(base)}`."
    for member in members(one):
        if member.owner is not None:
            yield f"#### {member.name}"
        yield _fenced(_signature(member))
        yield _prose(ast.get_docstring(member.node) or "")


def _assigned(node: ast.Assign) -> str:
    """As the house quotes."""
    value = node.value
    text = json.dumps(value.value) if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
    return f"{ast.unparse(node.targets[0])} = {text or ast.unparse(value)}"


def _annotated(node: ast.AnnAssign) -> str:
    return f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}"


# --- finding definitions -------------------------------------------------------------------------------------


@cache
def _tree(module: str) -> ast.Module:
    path = PROJECT.joinpath(*module.split("."))
    return ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())


def _definition(module: str, name: str) -> tuple[str, Definition, str]:
    """The module that defines a name, its definition there, and its docstring; follows imports."""
    body = _tree(module).body
    for place, node in enumerate(body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return module, node, ast.get_docstring(node) or ""
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in _targets(node):
            return module, node, _text_after(body, place)
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module and name in {alias.name for alias in node.names}:
            return _definition(node.module, name)
    raise LookupError(f"{module} neither defines nor imports {name}")


def _targets(node: ast.Assign | ast.AnnAssign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _text_after(body: list[ast.stmt], place: int) -> str:
    """The string that stands below a constant and says what it is."""
    following = body[place + 1] if place + 1 < len(body) else None
    if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
        return inspect.cleandoc(str(following.value.value))
    return ""


def _with_bases(module: str, node: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """A class and those of the project that it inherits from."""
    yield node
    for base in node.bases:
        called = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(called, ast.Name):
            try:
                home, inherited, _ = _definition(module, called.id)
            except (LookupError, FileNotFoundError):  # of the standard library or another package
                continue
            if isinstance(inherited, ast.ClassDef):
                yield from _with_bases(home, inherited)


# --- signatures ----------------------------------------------------------------------------------------------


def _signature(member: Member) -> str:
    decorators = {ast.unparse(decorator) for decorator in member.node.decorator_list}
    returns = ast.unparse(member.node.returns) if member.node.returns else "None"
    if decorators & _PROPERTIES:
        return f"{member.name}: {returns}"
    bound = member.owner is not None and "staticmethod" not in decorators
    return _call(member.name, _parameters(member.node.args, bound=bound), f" -> {returns}")


def _constructor(one: Exported) -> str:
    """How an object of a class is made: by its `__init__`, or by the fields of a dataclass."""
    assert isinstance(one.node, ast.ClassDef)
    owners = list(_with_bases(one.module, one.node))
    for owner in owners:
        for node in owner.body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                return _call(one.name, _parameters(node.args, bound=True), "")
    fields = [
        ast.unparse(node)
        for owner in reversed(owners)
        if any("dataclass" in ast.unparse(decorator) for decorator in owner.decorator_list)
        for node in owner.body
        if isinstance(node, ast.AnnAssign) and not ast.unparse(node.target).startswith("_")
    ]
    return _call(one.name, fields, "") if fields else f"class {one.name}"


def _parameters(arguments: ast.arguments, *, bound: bool) -> list[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    shown = [_parameter(arg, value) for arg, value in zip(positional, defaults, strict=True)][bound:]
    if arguments.vararg:
        shown.append(f"*{_parameter(arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        shown.append("*")
    shown += [_parameter(arg, value) for arg, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    return shown + ([f"**{_parameter(arguments.kwarg, None)}"] if arguments.kwarg else [])


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    text = argument.arg if argument.annotation is None else f"{argument.arg}: {ast.unparse(argument.annotation)}"
    return text if default is None else f"{text} = {ast.unparse(default)}"


def _call(name: str, parameters: list[str], end: str) -> str:
    line = f"{name}({', '.join(parameters)}){end}"
    if len(line) <= _SIGNATURE_WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {parameter}," for parameter in parameters), f"){end}"])


# --- docstrings ----------------------------------------------------------------------------------------------


def _fenced(code: str) -> str:
    return f"```python\n{code}\n```"


def _prose(text: str) -> str:
    """A Google docstring as Markdown: the sections' names in bold, their entries as a list."""
    head, *rest = _SECTION.split(text)
    parts = [head.strip()]
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        parts.append(f"**{name}:**")
        written = inspect.cleandoc(body.strip("\n"))
        parts.append(_entries(written) if name in _WITH_ENTRIES else written)
    return "\n\n".join(part for part in parts if part)


def _entries(body: str) -> str:
    entries = re.findall(r"^(\S.*(?:\n(?:[ ]+.*|$))*)", body, re.MULTILINE)
    shown = []
    for entry in entries:
        name, colon, text = " ".join(entry.split()).partition(": ")
        shown.append(f"- `{name}`: {text}" if colon else f"- {name}")
    return "\n".join(shown)
