"""A datasite as `python -m datasites serve` starts it, whose runs do what their study's name says."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from datasites.runs.processes import runner
from datasites.runs.processes.runner import RunInputs, Work

TESTS = Path(__file__).resolve().parents[1]
READS = "reads.log"
# What the datasite's own process runs, and its fork server's.
SERVED = "import sys; from pathlib import Path; from support.hostile_datasite import main; main(Path(sys.argv[1]))"
PROGRAM = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
import support.hostile
from support.hostile_datasite import by_study
from datasites.runs.processes.fork_server import main
main(by_study)
"""


def by_study(inputs: RunInputs) -> Work:
    """The attack that the study is named after; any other study trains."""
    from support.hostile import ATTACKS, attack  # with torch, which the datasite's own process does not import

    study = json.loads(inputs.plan)["study"]
    if study not in ATTACKS:
        return runner.prepare(inputs)
    return partial(attack, replace(inputs, plan=study, weights=b"{}"))


def main(path: Path) -> None:
    from datasites.cli.serving import log_to, wait_for_stdin
    from datasites.config import DatasiteConfig
    from datasites.files.state_folder import StateFolder
    from datasites.prepare import ingest_pictures
    from datasites.server import RunningDatasite

    os.umask(0o077)
    state = StateFolder(path)
    config = DatasiteConfig.from_toml(state.config)
    ingest_pictures(state, config)
    terminal = log_to(state.logs / "datasite.log", config.max_log_bytes)
    threading.Thread(target=wait_for_stdin, daemon=True).start()
    datasite = RunningDatasite(state, config, program=PROGRAM)
    _note_reads(state.logs / READS)
    datasite.serve(ready=lambda: print("ready", file=terminal, flush=True))
    os._exit(0)


def _note_reads(file: Path) -> None:
    """Notes in a file, a line each, which requests are read from PySyft and checked."""
    from datasites.code_requests.canonical import RequestReader  # imports PySyft, which runs by now

    read = RequestReader.read

    def noted(self: Any, request: Any, *, version: int | None = None) -> Any:
        with file.open("a") as log:
            log.write(f"{request.id}\n")
        return read(self, request, version=version)

    RequestReader.read = noted  # type: ignore[method-assign]
