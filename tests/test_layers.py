"""The picture of the house: its rooms, the arrows that are allowed between them, and who may know which library.

A room is a folder of a package, or a module that stands alone in it. An arrow is an import from one room into another,
also one inside a function or for a type checker only. Rooms are listed from the ground up, so each arrow points to a
room above it in the list, and there is no circle. `docs/explanation-architecture.md` shows the same list.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("policies", "datasites", "researcher")
MOST_FLAT, MOST_IN_A_FOLDER, MOST_LINES, MOST_LINES_OF_A_FUNCTION = 8, 15, 300, 60
# Modules of the house that any other file may import; those that only hand on names have a list of them instead.
MOST_IMPORTED = 20
HANDING_ON = {"datasites/training/__init__.py", "researcher/__init__.py"}
# Modules of the house that the file which puts a datasite together may import, also inside a function.
MOST_PUT_TOGETHER = 15
MOST_UNDECLARED_TABLES = 28
# Where a stored record cannot be read, whatever is wrong with it; anywhere else a check gets its own kind of error.
READERS_OF_RECORDS = {
    "datasites/assets/features.py",
    "datasites/assets/manifest.py",
    "datasites/code_requests/requests.py",
    "datasites/state/lost_spends.py",
    "policies/ledger/receipt.py",
    "policies/ledger/reservations.py",
    "researcher/counts/kept_gram.py",
    "researcher/counts/saved.py",
    "researcher/exported/about.py",
    "researcher/papers/study_record.py",
    "researcher/reports/kept_result.py",
}
# A room, and what it may import: package by package, room by room.
HOUSE: dict[str, dict[str, str]] = {
    "policies.__init__": {},
    "policies.untrusted_text": {},
    "policies.errors": {"policies": "untrusted_text"},
    "policies.settings": {},
    "policies.versions": {"policies": "__init__ errors"},
    "policies.inside_folder": {"policies": "errors"},
    "policies.whole_file": {"policies": "errors"},
    "policies.terminal": {"policies": "errors settings untrusted_text versions"},
    "policies.validate": {"policies": "errors untrusted_text"},
    "policies.plans": {"policies": "errors settings validate versions"},
    "policies.graphs": {"policies": "errors plans untrusted_text validate versions"},
    "policies.budget": {"policies": "errors plans validate"},
    "policies.answers": {"policies": "budget plans untrusted_text validate"},
    "policies.audit_picture": {"policies": "answers"},
    "policies.contracts": {"policies": "answers errors plans validate"},
    "policies.ledger": {"policies": "answers budget errors plans validate"},
    "policies.papers": {"policies": "__init__ answers errors ledger plans validate"},
    "policies.web": {"policies": "errors"},
    "datasites.__init__": {},
    "datasites.first_settings": {"policies": "settings"},
    "datasites.runs": {},
    "datasites.runs.gpus": {},
    "datasites.runs.kernels": {"policies": "plans", "datasites": "runs.gpus"},
    "datasites.runs.visible_ends": {},
    "datasites.training.gpu": {},
    "datasites.training.ranking": {},
    "datasites.training.graphs": {"policies": "errors graphs"},
    "datasites.training.finding_metrics": {"datasites": "training.ranking"},
    "datasites.training.losses": {"policies": "graphs plans", "datasites": "training.graphs"},
    "datasites.training.metrics": {},
    "datasites.files": {"policies": "errors untrusted_text validate"},
    "datasites.pysyft_database": {"policies": "errors settings", "datasites": "files"},
    "datasites.picture_files": {"policies": "errors plans"},
    "datasites.sources": {
        "policies": "answers budget errors plans settings terminal validate",
        "datasites": "files first_settings picture_files",
    },
    "datasites.runs.sandbox": {"policies": "errors", "datasites": "runs.gpus"},
    "datasites.runs.slurm.settings": {"policies": "errors settings validate"},
    "datasites.training.process_group": {"policies": "errors"},
    "datasites.training.randomness": {"policies": "errors", "datasites": "training.gpu"},
    "datasites.runs.blobs": {"policies": "errors validate", "datasites": "files"},
    "datasites.runs.queue": {"policies": "answers errors", "datasites": "files"},
    "datasites.rehearsal.rehearsals": {"policies": "answers errors", "datasites": "files"},
    "datasites.web": {"policies": "errors settings validate web"},
    "datasites.runs.entry": {"policies": "answers contracts errors plans"},
    "datasites.training.pictures": {"policies": "errors plans validate", "datasites": "training.randomness"},
    "datasites.notices.settings": {"policies": "errors settings validate"},
    "datasites.config": {
        "policies": "budget errors settings validate",
        "datasites": (
            "files first_settings notices.settings pysyft_database runs.sandbox runs.slurm.settings sources web"
        ),
    },
    "datasites.training.dp_sgd": {
        "policies": "budget errors plans",
        "datasites": "training.gpu training.losses training.pictures training.process_group training.randomness",
    },
    "datasites.training.models": {
        "policies": "errors graphs plans",
        "datasites": "training.graphs training.pictures",
    },
    "datasites.assets": {"policies": "answers errors plans validate", "datasites": "files sources training.models"},
    "datasites.approvals": {"policies": "answers errors ledger plans untrusted_text", "datasites": "assets files"},
    "datasites.audit_log": {"policies": "errors ledger plans untrusted_text", "datasites": "files"},
    "datasites.datasite_process": {"policies": "errors", "datasites": "config files"},
    "datasites.hospitals_file": {"policies": "errors", "datasites": "config files"},
    "datasites.training.book_keeping": {
        "policies": "errors",
        "datasites": "training.dp_sgd training.gpu training.graphs training.losses",
    },
    "datasites.training.evaluation": {
        "policies": "errors plans",
        "datasites": "training.losses training.models training.pictures",
    },
    "datasites.training.local_fit": {
        "policies": "plans",
        "datasites": "training.losses training.models training.pictures",
    },
    "datasites.runs.admission": {
        "policies": "answers contracts errors ledger plans",
        "datasites": "approvals audit_log files runs.blobs runs.queue",
    },
    "datasites.runs.charges": {"policies": "budget errors ledger", "datasites": "audit_log runs.queue"},
    "datasites.runs.enclosure": {"datasites": "audit_log runs.gpus runs.sandbox"},
    "datasites.runs.local_parts": {"policies": "contracts errors ledger plans", "datasites": "files"},
    "datasites.runs.expiry": {"datasites": "approvals runs.blobs runs.local_parts runs.queue"},
    "datasites.runs.last_check": {"policies": "errors", "datasites": "approvals assets runs.queue"},
    "datasites.runs.turns": {"policies": "errors plans", "datasites": "approvals runs.gpus runs.queue"},
    "datasites.state": {
        "policies": "__init__ answers budget errors ledger plans",
        "datasites": "approvals audit_log files pysyft_database runs.queue",
    },
    "datasites.training.engines": {
        "policies": "plans",
        "datasites": ("training.book_keeping training.dp_sgd training.losses training.models training.pictures"),
    },
    "datasites.pysyft": {"policies": "contracts errors", "datasites": "assets files pysyft_database runs.entry state"},
    "datasites.training.strategy_terms": {"policies": "plans"},
    "datasites.training.descent": {"policies": "plans", "datasites": "training.dp_sgd training.gpu"},
    "datasites.training.local_round": {
        "policies": "errors plans",
        "datasites": (
            "training.descent training.dp_sgd training.engines training.gpu training.losses training.models "
            "training.pictures training.process_group training.randomness training.strategy_terms"
        ),
    },
    "datasites.access": {"policies": "errors inside_folder validate", "datasites": "audit_log config files pysyft"},
    "datasites.code_requests": {
        "policies": "answers budget errors graphs ledger papers plans untrusted_text validate versions",
        "datasites": (
            "approvals assets audit_log config files pysyft rehearsal.rehearsals state training.engines training.models"
        ),
    },
    "datasites.training.releases": {
        "policies": "errors plans",
        "datasites": (
            "training.gpu training.local_round training.losses training.metrics training.models training.pictures "
            "training.randomness"
        ),
    },
    "datasites.training.compiling": {
        "policies": "errors plans",
        "datasites": (
            "training.dp_sgd training.engines training.gpu training.losses training.models training.process_group "
            "training.randomness"
        ),
    },
    "datasites.training.jobs": {
        "policies": "errors plans",
        "datasites": (
            "training.dp_sgd training.local_round training.pictures training.process_group training.releases"
        ),
    },
    "datasites.runs.processes": {
        "policies": "answers contracts errors plans",
        "datasites": (
            "assets files runs.enclosure runs.gpus runs.kernels runs.sandbox training.dp_sgd training.jobs "
            "training.pictures training.process_group"
        ),
    },
    "datasites.runs.rounds": {
        "policies": "budget contracts plans",
        "datasites": (
            "approvals assets runs.blobs runs.charges runs.enclosure runs.gpus runs.local_parts runs.processes "
            "runs.queue runs.sandbox"
        ),
    },
    "datasites.runs.slurm": {
        "policies": "__init__ errors untrusted_text",
        "datasites": "config files runs.gpus runs.processes runs.sandbox runs.slurm.settings",
    },
    "datasites.rehearsal": {
        "policies": "answers contracts errors plans untrusted_text",
        "datasites": (
            "approvals assets audit_log rehearsal.rehearsals runs.gpus runs.processes runs.queue "
            "runs.sandbox runs.turns"
        ),
    },
    "datasites.training.privacy_audit": {
        "policies": "budget plans validate",
        "datasites": (
            "training.dp_sgd training.engines training.gpu training.jobs training.local_round training.losses "
            "training.models training.pictures training.process_group training.randomness"
        ),
    },
    "datasites.training": {
        "policies": "plans",
        "datasites": (
            "training.book_keeping training.dp_sgd training.engines training.evaluation training.jobs "
            "training.local_round training.metrics training.models training.pictures training.privacy_audit "
            "training.process_group training.randomness"
        ),
    },
    "datasites.runs.supervisor": {
        "policies": "answers errors ledger",
        "datasites": (
            "approvals audit_log files runs.admission runs.blobs runs.charges runs.enclosure runs.gpus "
            "runs.local_parts runs.processes runs.queue runs.rounds runs.sandbox runs.turns runs.visible_ends"
        ),
    },
    "datasites.runs.runs": {
        "policies": "answers errors",
        "datasites": (
            "approvals code_requests config files rehearsal runs.admission runs.blobs runs.entry runs.expiry "
            "runs.gpus runs.last_check runs.processes runs.queue runs.slurm runs.supervisor"
        ),
    },
    "datasites.researchers_port": {
        "policies": "answers contracts errors ledger plans versions",
        "datasites": (
            "access assets audit_log code_requests config files runs.blobs runs.queue runs.runs runs.supervisor web"
        ),
    },
    "researcher.atomic_file": {"policies": "errors"},
    "researcher.stops": {},
    "researcher.held_folder": {"policies": "errors untrusted_text", "researcher": "atomic_file"},
    "researcher.html": {"policies": "untrusted_text"},
    "researcher.exported": {"policies": "answers errors plans validate"},
    "researcher.weights_file": {"policies": "errors inside_folder", "researcher": "atomic_file"},
    "researcher.strategies": {"policies": "contracts errors validate", "researcher": "weights_file"},
    "researcher.hospitals": {
        "policies": "answers contracts errors graphs ledger plans untrusted_text validate versions",
        "researcher": "atomic_file",
    },
    "researcher.planning": {
        "policies": "answers budget errors graphs plans settings untrusted_text validate",
        "datasites": "training.engines training.models",
        "researcher": "atomic_file hospitals",
    },
    "researcher.captures": {
        "policies": "errors graphs untrusted_text",
        "datasites": "training.book_keeping training.graphs training.models",
        "researcher": "atomic_file weights_file",
    },
    "researcher.evaluation": {
        "policies": "errors plans",
        "datasites": (
            "picture_files sources training.evaluation training.finding_metrics training.local_fit training.metrics "
            "training.models"
        ),
        "researcher": "planning",
    },
    "researcher.serving": {
        "policies": "__init__ errors plans settings validate web",
        "datasites": "picture_files",
        "researcher": "evaluation exported",
    },
    "researcher.studies": {
        "policies": "__init__ answers contracts errors inside_folder plans settings untrusted_text validate",
        "datasites": "training.finding_metrics",
        "researcher": "atomic_file evaluation held_folder hospitals html strategies weights_file",
    },
    "researcher.counts": {
        "policies": "budget errors plans untrusted_text",
        "researcher": "atomic_file strategies studies weights_file",
    },
    "researcher.judgement": {
        "policies": "answers errors plans terminal untrusted_text validate",
        "datasites": ("sources training.evaluation training.finding_metrics training.metrics training.ranking"),
        "researcher": "atomic_file counts evaluation exported html studies",
    },
    "researcher.papers": {
        "policies": "__init__ answers budget errors inside_folder ledger papers plans settings untrusted_text validate",
        "researcher": "counts exported judgement studies",
    },
    "researcher.exports": {
        "policies": "__init__ errors plans",
        "datasites": "training.evaluation training.finding_metrics training.losses training.metrics training.models "
        "training.pictures",
        "researcher": "atomic_file evaluation exported papers planning studies",
    },
    "researcher.tracking": {"policies": "errors plans", "researcher": "atomic_file studies"},
    "researcher.reports": {
        "policies": "answers budget errors plans untrusted_text",
        "datasites": "training.finding_metrics",
        "researcher": "atomic_file counts evaluation html studies",
    },
    "researcher.simulation": {
        "policies": "budget contracts errors plans settings validate versions",
        "datasites": (
            "training.dp_sgd training.local_round training.losses training.models training.pictures "
            "training.process_group training.randomness"
        ),
        "researcher": "atomic_file evaluation hospitals judgement planning reports stops strategies studies",
    },
    "researcher.terminal": {
        "policies": "answers errors inside_folder plans terminal untrusted_text versions",
        "datasites": "training.models",
        "researcher": "counts evaluation hospitals judgement planning reports strategies studies",
    },
    "researcher.notebook": {
        "policies": "answers budget contracts errors plans settings terminal untrusted_text versions",
        "datasites": "training.jobs training.models training.pictures",
        "researcher": (
            "atomic_file evaluation exports hospitals html judgement planning reports strategies studies terminal "
            "tracking"
        ),
    },
    "researcher.demo": {
        "policies": "answers errors inside_folder plans terminal",
        "datasites": "training.models",
        "researcher": "evaluation hospitals planning reports studies terminal",
    },
    "researcher.__init__": {
        "policies": "errors plans",
        "datasites": "training.models",
        "researcher": (
            "captures counts evaluation hospitals judgement notebook planning reports simulation strategies studies "
            "terminal tracking"
        ),
    },
    "researcher.cli": {
        "policies": "answers errors ledger plans settings terminal",
        "researcher": (
            "captures demo exports hospitals notebook papers planning reports serving simulation stops studies terminal"
        ),
    },
    "researcher.__main__": {"policies": "terminal", "researcher": "cli"},
    "policies.__main__": {
        "policies": "audit_picture plans settings terminal whole_file",
        "datasites": "training.privacy_audit",
    },
    "datasites.ingestion": {
        "policies": "errors plans untrusted_text",
        "datasites": "assets files picture_files sources",
    },
    "datasites.datasets": {
        "policies": "answers errors ledger plans untrusted_text",
        "datasites": "assets audit_log files ingestion sources state",
    },
    "datasites.study_report.kept_reports": {"policies": "answers errors", "datasites": "files"},
    "datasites.study_report": {
        "policies": "answers budget contracts errors plans terminal untrusted_text",
        "datasites": (
            "approvals assets config files ingestion picture_files runs.queue sources state "
            "study_report.kept_reports training.evaluation training.finding_metrics"
        ),
    },
    "datasites.installation": {"policies": "errors", "datasites": "config files state"},
    "datasites.doctor": {
        "policies": "__init__ errors ledger versions",
        "datasites": (
            "assets audit_log config datasets files pysyft_database runs.gpus runs.kernels runs.sandbox runs.slurm "
            "state training.gpu web"
        ),
    },
    "datasites.elsewhere": {"policies": "answers errors ledger plans validate", "datasites": "files"},
    "datasites.pages.languages": {"policies": "answers untrusted_text"},
    "datasites.review": {
        "policies": "answers budget errors graphs ledger plans untrusted_text",
        "datasites": "assets code_requests elsewhere pages.languages",
    },
    "datasites.rules": {
        "policies": "answers budget errors ledger plans untrusted_text validate",
        "datasites": "approvals audit_log code_requests files review",
    },
    "datasites.notices": {
        "policies": "answers errors plans",
        "datasites": "access assets audit_log code_requests config doctor files notices.settings web",
    },
    "datasites.console": {
        "policies": "answers budget errors graphs ledger papers plans terminal",
        "datasites": (
            "access approvals assets audit_log code_requests config datasets elsewhere files notices "
            "rehearsal.rehearsals review rules runs.queue runs.supervisor sources web"
        ),
    },
    "datasites.pages.frame": {
        "policies": "errors untrusted_text",
        "datasites": "access audit_log pages.languages review web",
    },
    "datasites.pages.daily": {
        "policies": "errors settings",
        "datasites": (
            "access audit_log config console files notices notices.settings pages.frame pages.languages "
            "runs.queue sources "
            "study_report.kept_reports"
        ),
    },
    "datasites.prepare": {
        "policies": "errors terminal",
        "datasites": "assets config datasets files ingestion sources state",
    },
    "datasites.launching": {
        "policies": "errors terminal",
        "datasites": "assets config files first_settings hospitals_file prepare sources web",
    },
    "datasites.pages.decisions": {
        "policies": "answers budget errors graphs ledger plans",
        "datasites": "approvals code_requests console pages.frame pages.languages review rules",
    },
    "datasites.pages": {
        "policies": "errors web",
        "datasites": (
            "access assets code_requests config console datasets files notices pages.daily pages.decisions "
            "pages.frame pages.languages rules runs.runs sources web"
        ),
    },
    "datasites.server": {
        "datasites": "access code_requests config files notices pages pysyft researchers_port runs.runs state web",
    },
    "datasites.cli": {
        "policies": "answers errors papers plans terminal untrusted_text",
        "datasites": (
            "access assets audit_log config console datasets doctor files first_settings ingestion installation "
            "prepare pysyft server sources state study_report web"
        ),
    },
    "datasites.__main__": {"policies": "terminal", "datasites": "cli"},
}
# What reaches code from elsewhere than its arguments: each is forced by PySyft, which says nothing of the call that it
# serves and whose parser is functions of its modules.
CONTEXT_VARIABLES = {
    "datasites/access/enrolment.py",
    "datasites/pysyft/guard.py",
    "datasites/pysyft/roles.py",
    "datasites/runs/entry.py",
}
MODULE_GLOBALS = {"datasites/pysyft/deserialiser.py", "researcher/hospitals/deserialiser.py"}
# Libraries that only these folders and files may import.
LIBRARIES = {
    "syft": (
        "datasites/access/accounts.py",
        "datasites/code_requests/canonical.py",
        "datasites/code_requests/requests.py",
        "datasites/pysyft/",
        "datasites/researchers_port/pysyft_routes.py",
        "datasites/researchers_port/sign_in.py",
        "researcher/hospitals/code_requests.py",
        "researcher/hospitals/deserialiser.py",
        "researcher/hospitals/pysyft_connection.py",
    ),
    "torch": (
        "datasites/code_requests/calculator.py",
        "datasites/runs/processes/runner.py",
        "datasites/training/",
        "researcher/captures/",
        "researcher/exports/",
        "researcher/planning/initial_weights.py",
        "researcher/simulation/at_work/bounded_trainer.py",
        "researcher/simulation/at_work/in_this_process.py",
        "researcher/simulation/at_work/operations.py",
        "researcher/simulation/at_work/recorded.py",
        "researcher/simulation/at_work/recording.py",
        "researcher/simulation/at_work/room.py",
    ),
    "psycopg2": ("datasites/pysyft_database/",),
    "sqlalchemy": ("datasites/pysyft/own_database.py", "datasites/pysyft/unreadable_rows.py"),
    "ray": ("researcher/simulation/at_work/cluster.py",),
    "opacus": ("datasites/training/",),
    "fastapi": ("datasites/console/", "datasites/researchers_port/", "datasites/web/", "researcher/serving/"),
    "uvicorn": ("datasites/researchers_port/", "datasites/web/", "researcher/serving/"),
    "onnx": ("researcher/exports/",),
    "onnxruntime": ("researcher/exported/", "researcher/exports/"),
    "click": (
        "datasites/cli/",
        "policies/__main__.py",
        "policies/terminal/commands.py",
        "policies/terminal/version_option.py",
        "researcher/cli/",
    ),
}
# Why an import of the house stands in a function; where none of these holds it stands at the top of its file.
LATE: dict[str, tuple[str, ...]] = {
    "a help comes at once: a command imports what it works with when it is called": (
        "datasites/__main__.py",
        "researcher/__main__.py",
        "datasites/cli/",
        "policies/__main__.py",
        "policies/terminal/version_option.py",
        "researcher/cli/",
    ),
    "torch takes seconds to import, and a datasite's own process does without": (
        "datasites/assets/features.py",
        "datasites/code_requests/calculator.py",
        "datasites/runs/processes/runner.py",
        "datasites/runs/processes/workers.py",
        "researcher/demo.py",
        "researcher/evaluation/evaluation.py",
        "researcher/evaluation/feature_hold_out.py",
        "researcher/evaluation/shared_part.py",
        "researcher/judgement/opened_model.py",
        "researcher/notebook/folder.py",
        "researcher/notebook/rehearsal.py",
        "researcher/notebook/setup.py",
        "researcher/notebook/study.py",
        "researcher/planning/initial_weights.py",
        "researcher/planning/planning.py",
        "researcher/planning/recipes.py",
        "researcher/terminal/training_session.py",
    ),
    "a reader of a kind of files is imported when such a file is there: pydicom, onnxruntime and others take a while": (
        "datasites/picture_files/decode.py",
        "datasites/sources/inspection/guessed_settings.py",
        "datasites/sources/inspection/inspection.py",
        "datasites/sources/read_listing.py",
        "datasites/sources/sites.py",
        "researcher/papers/model_file.py",
    ),
    "torch takes as much memory as a worker, and the process that hands a simulation's work out does without": (
        "researcher/simulation/at_work/started.py",
        "researcher/simulation/at_work/worker.py",
        "researcher/simulation/made_up.py",
        "researcher/simulation/work.py",
    ),
    "strategies and all that they need take a while to import, and a model's file is read without them": (
        "researcher/studies/checkpoints.py",
    ),
    "Opacus takes as long to import as torch, and its engine is all that needs it": ("datasites/training/engines.py",),
    "reports take a while to import, and a simulation's workers begin meanwhile": (
        "researcher/simulation/simulate.py",
    ),
    "PySyft takes seconds to import, and only submitting a request needs it": ("researcher/hospitals/hospital.py",),
    "Triton takes half a second to import, and only a GPU's work needs it": (
        "datasites/training/book_keeping/convolution.py",
        "datasites/training/book_keeping/linear.py",
        "datasites/training/book_keeping/norms.py",
        "datasites/training/dp_sgd/weighted_sums.py",
        "datasites/training/randomness/noise_kernel.py",
    ),
    "PySyft reads who the server is when it is imported": ("datasites/pysyft/server.py", "datasites/server.py"),
}
MOST_LATE = 222
POLICIES_NEED = {
    "click",
    "cryptography",
    "dp_accounting",
    "matplotlib",
    "numpy",
    "rich",
    "scipy",
    "zstandard",
}


def _is_module(name: str) -> bool:
    path = PROJECT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@cache
def _imports(file: Path) -> tuple[str, ...]:
    """Every module that a file imports; `from package import module` is the module."""
    found: list[str] = []
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if _is_module(name) else node.module for name in inner]
    return tuple(found)


def _files(*parts: str) -> list[Path]:
    return sorted((PROJECT.joinpath(*parts)).rglob("*.py"))


def _name(file: Path) -> str:
    return str(file.relative_to(PROJECT))


def _imported_tops(files: list[Path]) -> dict[str, set[str]]:
    return {_name(file): {name.split(".")[0] for name in _imports(file)} for file in files}


def _all_files() -> list[Path]:
    return [file for package in PACKAGES for file in _files(package)]


# --- rooms and arrows ----------------------------------------------------------------------------------------


def _room(module: str) -> str | None:
    """The innermost listed room that a module stands in; of a package's own `__init__`, that."""
    if module in PACKAGES:
        return f"{module}.__init__"
    parts = module.split(".")
    return next((room for end in range(len(parts), 1, -1) if (room := ".".join(parts[:end])) in HOUSE), None)


def _module(file: Path) -> str:
    return ".".join(file.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


@cache
def _arrows() -> frozenset[tuple[str, str]]:
    """Every import from one room into another, as (from, to)."""
    found = set()
    for file in _all_files():
        here = _room(_module(file)) or _module(file)
        for name in _imports(file):
            there = _room(name) if name.split(".")[0] in PACKAGES else here
            if there != here:
                found.add((here, there or name))
    return frozenset(found)


@cache
def _allowed() -> list[tuple[str, str]]:
    return [
        (room, f"{package}.{name}")
        for room, packages in HOUSE.items()
        for package, names in packages.items()
        for name in names.split()
    ]


def test_every_module_stands_in_a_listed_room() -> None:
    assert [_name(file) for file in _all_files() if _room(_module(file)) not in HOUSE] == []


def test_every_listed_room_is_there() -> None:
    rooms = {_room(_module(file)) for file in _all_files()}
    assert set(HOUSE) - rooms == set()


def test_the_arrows_between_rooms_are_the_listed_ones() -> None:
    assert sorted(_arrows() - set(_allowed())) == [], "an arrow that is not listed"
    assert sorted(set(_allowed()) - _arrows()) == [], "a listed arrow that no import takes any more"


def test_a_server_opens_rooms_and_does_not_know_their_insides() -> None:
    own = {name for name in _imports(PROJECT / "datasites" / "server.py") if name.split(".")[0] in PACKAGES}
    assert len(own) <= MOST_PUT_TOGETHER, sorted(own)


def test_every_arrow_points_to_a_room_listed_before_so_there_is_no_circle() -> None:
    rooms = list(HOUSE)
    assert [(a, b) for a, b in _allowed() if b not in rooms or rooms.index(b) >= rooms.index(a)] == []


@cache
def _floor(room: str) -> int:
    return 1 + max((_floor(below) for above, below in _allowed() if above == room), default=-1)


def _holds(room: str) -> str:
    """The first sentence of what a room says of itself."""
    path = PROJECT.joinpath(*room.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = " ".join((ast.get_docstring(_tree(file)) or "").split("\n\n")[0].split())
    return text.split(". ")[0].rstrip(".")


def counted() -> str:
    """How large the house is, told above that table."""
    return f"{len(HOUSE)} rooms with {len(_allowed())} arrows on {1 + max(map(_floor, HOUSE))} floors."


def picture() -> list[tuple[str, ...]]:
    """The rows of the table in docs/explanation-architecture.md."""
    rows: list[tuple[str, ...]] = [("room", "floor", "what it holds", "what it may import"), ("---",) * 4]
    for room, packages in HOUSE.items():
        imports = "; ".join(f"`{package}` {', '.join(names.split())}" for package, names in packages.items())
        rows.append((f"`{room}`", str(_floor(room)), _holds(room), imports))
    return rows


# --- packages ------------------------------------------------------------------------------------------------


def test_policies_import_neither_datasites_nor_researcher_nor_syft() -> None:
    # `python -m policies audit` is an entry point: it hands the hospital's trainer to the audit.
    tops = _imported_tops([file for file in _files("policies") if file.name != "__main__.py"])
    assert not {name for name, found in tops.items() if found & {"datasites", "researcher", "syft"}}


def test_policies_need_little_beside_the_standard_library() -> None:
    known = POLICIES_NEED | {"policies", "datasites"} | set(sys.stdlib_module_names)
    tops = _imported_tops(_files("policies"))
    assert {name: found - known for name, found in tops.items() if found - known} == {}


def test_datasites_do_not_import_the_researchers_side() -> None:
    assert not {name for name, found in _imported_tops(_files("datasites")).items() if "researcher" in found}


def test_the_researchers_side_imports_of_datasites_only_the_training_and_what_reads_pictures() -> None:
    allowed = ("datasites.training", "datasites.picture_files", "datasites.sources")
    for file in _files("researcher"):
        used = {name for name in _imports(file) if name.split(".")[0] == "datasites"}
        assert all(name.startswith(allowed) for name in used), file


def test_training_imports_no_syft_and_no_other_part_of_a_datasite() -> None:
    for file in _files("datasites", "training"):
        found = set(_imports(file))
        assert not any(name.split(".")[0] in {"syft", "researcher"} for name in found), file
        assert all(name.startswith("datasites.training") for name in found if name.split(".")[0] == "datasites"), file


# --- imports in functions ------------------------------------------------------------------------------------


def _late(file: Path) -> list[str]:
    """The modules of the house that a file imports within functions."""
    functions = [node for node in ast.walk(_tree(file)) if isinstance(node, ast.FunctionDef)]
    late = [node for one in functions for node in one.body for node in ast.walk(node)]
    return [
        node.module
        for node in late
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES
    ]


def test_an_import_stands_in_a_function_only_for_one_of_the_listed_reasons() -> None:
    late = {_name(file): len(_late(file)) for file in _all_files() if _late(file)}
    places = tuple(place for listed in LATE.values() for place in listed)
    assert [name for name in late if not name.startswith(places)] == []
    assert [place for place in places if not any(name.startswith(place) for name in late)] == []
    assert sum(late.values()) <= MOST_LATE, late


# --- libraries -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_only_the_listed_places_import_a_library(library: str) -> None:
    users = {name for name, found in _imported_tops(_all_files()).items() if library in found}
    assert [name for name in users if not name.startswith(LIBRARIES[library])] == []
    assert [place for place in LIBRARIES[library] if not any(name.startswith(place) for name in users)] == []


@pytest.mark.parametrize(
    "part", ["datasites/runs/processes/runner.py", "datasites/runs/processes/process.py", "datasites/cli"]
)
def test_a_runner_and_the_command_line_do_not_reach_pysyft(part: str) -> None:
    files = _files(part) or [PROJECT / part]
    assert not {name for name, found in _imported_tops(files).items() if "syft" in found}


def test_a_datasite_is_put_together_before_pysyft_is_imported_and_without_torch() -> None:
    # PySyft reads who the server is when it is imported: imported too early, each start is another server.
    program = "import sys, datasites.server, datasites.cli.serving; print(sorted({'syft', 'torch'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("written", "listed"),
    [("ContextVar(", CONTEXT_VARIABLES), ("    global ", MODULE_GLOBALS)],
    ids=["context", "global"],
)
def test_nothing_reaches_code_but_through_its_arguments_except_where_pysyft_forces_it(
    written: str, listed: set[str]
) -> None:
    found = {_name(file): file.read_text().count(written) for file in _all_files() if written in file.read_text()}
    assert found == dict.fromkeys(listed, 1)


# --- shapes ---------------------------------------------------------------------------------------------------


def _caught(tree: ast.Module) -> set[str]:
    """The names of all errors that a module catches."""
    kinds = [node.type for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type is not None]
    return {name.id for kind in kinds for name in ast.walk(kind) if isinstance(name, ast.Name)}


def test_few_tables_are_passed_on_whose_fields_nobody_declares() -> None:
    counts = {_name(file): file.read_text().count("dict[str, Any]") for file in _all_files()}
    assert sum(counts.values()) <= MOST_UNDECLARED_TABLES, {name: count for name, count in counts.items() if count}


def test_no_plan_error_is_caught_to_be_renamed() -> None:
    caught = {_name(file) for file in _all_files() if "PlanError" in _caught(_tree(file))}
    assert caught == READERS_OF_RECORDS


# --- sizes ---------------------------------------------------------------------------------------------------


def _folders() -> Iterator[Path]:
    for package in PACKAGES:
        for folder in [PROJECT / package, *(PROJECT / package).rglob("*/")]:
            if folder.is_dir() and "__pycache__" not in folder.parts:
                yield folder


def test_few_modules_stand_flat_at_the_top_of_a_package() -> None:
    for package in PACKAGES:
        assert len(list((PROJECT / package).glob("*.py"))) <= MOST_FLAT, package


def test_no_folder_holds_more_than_a_reader_can_take_in() -> None:
    held = {_name(folder): sum(path.is_file() for path in folder.iterdir()) for folder in _folders()}
    assert {name: count for name, count in held.items() if count > MOST_IN_A_FOLDER} == {}


def test_no_module_is_longer_than_a_reader_can_take_in() -> None:
    lengths = {_name(file): len(file.read_text().splitlines()) for file in _all_files()}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_no_function_is_longer_than_a_reader_can_take_in() -> None:
    functions = [
        (f"{_name(file)}:{node.name}", node.end_lineno - node.lineno + 1)
        for file in _all_files()
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]
    longer = {name: length for name, length in functions if length > MOST_LINES_OF_A_FUNCTION}
    assert longer == {}


def test_no_module_puts_together_more_of_the_house_than_a_reader_can_take_in() -> None:
    own = {_name(file): {name for name in _imports(file) if name.split(".")[0] in PACKAGES} for file in _all_files()}
    assert {name: len(found) for name, found in own.items() if len(found) > MOST_IMPORTED}.keys() <= HANDING_ON


def test_tests_stand_in_the_rooms_of_what_they_test_and_their_helpers_in_one() -> None:
    for package in PACKAGES:
        rooms = {path.name for path in (PROJECT / "tests" / package).iterdir() if path.is_dir()} - {"__pycache__"}
        assert [room for room in rooms if not (PROJECT / package / room).is_dir()] == [], package
    apart = {"support", "benchmarks", "chaos", "mutants", "images"}
    files = [file.relative_to(PROJECT / "tests") for file in _files("tests")]
    helpers = {str(file) for file in files if file.parts[0] not in apart and not file.name.startswith("test_")}
    assert {name for name in helpers if not name.endswith("conftest.py")} == {"references.py"}


def test_nothing_at_the_top_level_but_what_the_frame_allows() -> None:
    allowed = {*PACKAGES, "tests", "docs", "launch_datasites.py", "requirements.txt", "README.md", "pyproject.toml"}
    allowed |= {"Makefile", "README.zh-CN.md", "CHANGELOG.md", "LICENSE", "CONTRIBUTING.md", "SECURITY.md", "findings"}
    allowed |= {"Containerfile", "compose.yaml"}
    made = {"out", "state", "__pycache__", "build"}
    found = {path.name for path in PROJECT.iterdir() if not path.name.startswith(".")}
    assert found - made <= allowed | {name for name in found if name.endswith(".egg-info")}
