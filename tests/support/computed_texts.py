"""Texts that the datasite computes and a page shows in another language, as templates: read from the code itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from support.hospitals import PROJECT

from datasites.config import DatasiteConfig
from datasites.doctor.examination import CHECKS
from datasites.notices.settings import NoticeSettings
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.identity import SAID
from policies import errors
from policies.answers.rehearsals import STATES
from policies.settings import declared

_LOOKS_AT_NAMES = ("sites", "tables/table_pictures", "folders/class_folders", "arrays/npz_pictures", "dicom/labels")
_LOOKS = (
    "look",
    "look_at_classes",
    "suspect",
    "refuse",
    "refuse_patients",
    "look_at_hospitals",
    "refuse_no_common_class",
)
_DOCTOR = [f"datasites/doctor/{one.name}" for one in (PROJECT / "datasites" / "doctor").glob("*_checks.py")]
COMPUTED_IN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*_DOCTOR, "datasites/doctor/machine.py", "datasites/doctor/network.py"), ()),
    "datasites/doctor/cluster.py": (),
    "datasites/doctor/seen_gpus.py": (),
    "datasites/doctor/examination.py": (),
    "datasites/doctor/latest_examination.py": (),
    "datasites/notices/notices.py": (),
    "datasites/notices/watch.py": (),
    "datasites/picture_files/dicom/reasons.py": (),
    "datasites/picture_files/reasons.py": (),
    "datasites/sources/dicom/stops.py": (),
    "datasites/sources/identity.py": ("yield", "join", "look", "suspect"),
    "datasites/sources/reasons.py": (),
    "datasites/sources/tables/problems.py": (),
    **{f"datasites/sources/{name}.py": _LOOKS for name in _LOOKS_AT_NAMES},
    **{f"datasites/sources/inspection/{name}.py": () for name in ("foreseen", "guessed_columns", "guessed_dicom")},
    **{f"datasites/sources/inspection/{name}.py": () for name in ("guessed_levels", "guessed_settings", "inspection")},
    "datasites/rehearsal/estimate.py": (),
    "datasites/rehearsal/mock_round.py": (),
    "datasites/rehearsal/rehearser.py": (),
    "datasites/state/agreement.py": ("yield",),
    "datasites/study_report/told.py": (),
    "datasites/code_requests/limits/hospital_limits.py": ("LimitExceeded",),
    "policies/answers/rehearsals.py": (),
    "policies/budget/limits.py": ("LimitExceeded",),
    "policies/plans/findings.py": (),
}
"""Where they stand, and in what alone where a module has other texts too: in calls of a name, or in what it yields."""
RAISED_IN = (
    "datasites/access",
    "datasites/approvals",
    "datasites/audit_log/export.py",
    "datasites/audit_log/index.py",
    "datasites/code_requests/calculator.py",
    "datasites/code_requests/conversation.py",
    "datasites/code_requests/deciding.py",
    "datasites/code_requests/decisions",
    "datasites/code_requests/limits",
    "datasites/console/datasets.py",
    "datasites/console/requests.py",
    "datasites/console/staff.py",
    "datasites/notices/mail.py",
    "datasites/notices/webhook.py",
    "datasites/pages",
    "datasites/rules",
    "datasites/runs/queue.py",
    "datasites/sources",
    "datasites/study_report",
    "datasites/web/request_bounds.py",
    "policies/budget/limit_changes.py",
    "policies/budget/limits.py",
    "policies/ledger/chain_errors.py",
)
"""Rooms and modules whose errors' public texts a page shows to whoever asked for what cannot be done."""
_PRIVATE_IN = "datasites/sources"  # the page of pictures on disk shows private texts too
WORDS_OF_CHECKS = re.compile(r'Finding\(\s*"(\w+)"')
WAYS = ("mail", "webhook")
# What a study report's table has beside names: kinds of rows, and what is scored.
REPORTED = ("all", "class", "finding", "share right", "recall", "AUROC")
# Events whose names are put together, or stand in another module than the one that writes them.
EVENTS = ("request denied", "request returned", "request withdrawn", "restored from a backup", "patients withdrawn")
EVENTS += ("{1}, more times",)
COMMANDS = re.compile(r"python -m |kill |chmod ")
# Names of events and of a thread, and what a program alone reads.
_NOT_SHOWN = {"backup made", "question answered", "run failed", "request rehearsed", "request approved"}
_NOT_SHOWN |= {"notices' watch", "{} min"}  # a unit's sign is the same in every language
_NOT_SHOWN |= {"CSA REPORT", "DOSE REPORT", "SCREEN SAVE"}  # what a file's header holds
_NOT_SHOWN |= {"The GPUs are taken.", 'SELECT fields FROM "Dataset" WHERE _deleted_at IS NULL'}
_NOT_SHOWN |= {"# NOT YET ENOUGH: with these settings alone the pictures are refused. See what inspect says of them."}
_ERRORS = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.WanwuError)}
_EVENT = re.compile(r"[a-z][a-z' -]+ [a-z' -]+")
_WRITES_EVENTS = re.compile(r"audit(\(.*\))?\.write$|self\._write$|counted\.add$")
_NOT_SHOWN_IN = {"log", "refusal", "compile"}
_PLACE = re.compile(r"{[^{}]*}")
_WORDS = re.compile(r"[A-Za-z]{2,}.* |^.* [A-Za-z]{2,}")


def computed_texts() -> set[str]:
    """Every such text, with its values numbered, and every help of a setting."""
    found = {text for module, inside in COMPUTED_IN.items() for text in _templates_of(module, inside)}
    for owner in (DatasiteConfig, DatasetSettings, NoticeSettings):
        apart = ("dataset", "notices", "limits") if owner is DatasiteConfig else ()
        found |= {one.help for one in declared(owner).values() if one.name not in apart}
    checks = (PROJECT / module for module in COMPUTED_IN if "/doctor/" in module)
    found |= {name for file in checks for name in WORDS_OF_CHECKS.findall(file.read_text())}
    found |= {text for file in _files(RAISED_IN) for text in _raised(file)}
    found |= {event for file in _files(("datasites",)) for event in _events(ast.parse(file.read_text()))}
    return (
        found | {check.__name__ for check in CHECKS} | {*WAYS, *STATES, *REPORTED, *EVENTS, *SAID.values()} - {"passed"}
    )


def _files(places: tuple[str, ...]) -> Iterator[Path]:
    for place in places:
        yield from sorted((PROJECT / place).rglob("*.py")) if (PROJECT / place).is_dir() else (PROJECT / place,)


def _raised(file: Path) -> Iterator[str]:
    """The texts of the errors that a module makes, as templates; what it passes on is another's."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _named(node) in _ERRORS and node.args:
            told = _told_by(node) if file.is_relative_to(PROJECT / _PRIVATE_IN) else node.args[:1]
            for text in (text for one in told for text in _texts(_value(tree, one))):
                if _WORDS.search(text):
                    yield _numbered(text)


def _told_by(call: ast.Call) -> list[ast.expr]:
    """An error's public text and its private one."""
    return [call.args[0], *(one.value for one in call.keywords if one.arg == "private")]


def _events(tree: ast.Module) -> Iterator[str]:
    """The names of events that a module writes into the audit log, or counts for it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            named = [one.value for one in node.keywords if one.arg == "event"]
            if node.args and _WRITES_EVENTS.search(ast.unparse(node.func)):
                named.append(node.args[0])
            for event in named:
                yield from filter(_EVENT.fullmatch, _texts(_value(tree, event)))


def _value(tree: ast.Module, node: ast.expr) -> ast.AST:
    """What a module's own constant stands for, or else a text that a function gave a name; anything else is itself."""
    if not isinstance(node, ast.Name):
        return node
    named = [
        one
        for one in (*tree.body, *ast.walk(tree))
        if isinstance(one, ast.Assign) and any(isinstance(to, ast.Name) and to.id == node.id for to in one.targets)
    ]
    texts = ast.Constant | ast.JoinedStr | ast.IfExp
    return next((one.value for one in named if one in tree.body or isinstance(one.value, texts)), node)


def _numbered(text: str) -> str:
    numbers = iter(range(1, 10))
    return _PLACE.sub(lambda _: f"{{{next(numbers)}}}", text)


def _templates_of(module: str, inside: tuple[str, ...]) -> Iterator[str]:
    tree = ast.parse((PROJECT / module).read_text())
    shown: list[ast.AST] = [node for node in ast.walk(tree) if _named(node) in inside] if inside else [tree]
    for node in shown:
        for text in (text for one in (node, *_named_texts(tree, node)) for text in _texts(one)):
            if _WORDS.search(text) and text not in _NOT_SHOWN and not COMMANDS.match(text):
                yield _numbered(text)


def _named_texts(tree: ast.Module, node: ast.AST) -> list[ast.AST]:
    """The module's own constants that a call is given."""
    return [_value(tree, one) for one in node.args if isinstance(one, ast.Name)] if isinstance(node, ast.Call) else []


def _named(node: ast.AST) -> str:
    if isinstance(node, ast.Yield):
        return "yield"
    if isinstance(node, ast.Call):
        called = node.func
        owner = called.value if isinstance(called, ast.Attribute) else None
        if isinstance(owner, ast.Name) and owner.id in _NOT_SHOWN_IN:
            return owner.id
        return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return ""


def _texts(node: ast.AST) -> Iterator[str]:
    """Each text below a node that is no docstring and no part of another text."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
    elif not _is_docstring(node) and _named(node) not in _NOT_SHOWN_IN:
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
