"""What only reads needs neither PySyft nor torch, each of which takes seconds to import: here neither can be."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.hospitals import ENVIRONMENT, PROJECT, Hospital, small_plan
from support.waiting import CEILING_SECONDS

from researcher.hospitals.federation import Federation
from researcher.studies.study import Study

# Runs command lines, one after the other, in a process in which importing PySyft or torch is an error.
PROGRAM = """
import json, sys
sys.modules.update(dict.fromkeys(("syft", "torch", "opacus")))
from researcher.cli import main
for line in json.loads(sys.argv[1]):
    if status := main(line):
        sys.exit(f"{line} ended with {status}")
"""


def run_without(*lines: list[str]) -> str:
    """What these command lines print, none of which may fail."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(lines)]
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, env=ENVIRONMENT, timeout=CEILING_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_reading_and_talking_to_hospitals_imports_neither_pysyft_nor_torch(
    hospitals: dict[str, Hospital], federation: Federation, tmp_path: Path
) -> None:
    study = Study.submit(federation, small_plan(federation, study="only-read"), tmp_path / "study")
    requests = {name: request.request_id for name, request in study.requests.items()}
    hospitals["north"].admin("approve", requests["north"])
    hospitals["south"].admin("ask", requests["south"], "Who reads the report?")
    files = [str(hospital.credentials()) for hospital in hospitals.values()]
    about = ["--credentials", *files, "--out", str(tmp_path / "study")]
    printed = run_without(
        ["check", *files],
        ["catalog", "--credentials", *files],
        ["status", *about],
        ["messages", *about],
        ["answer", *about, "We do."],
        ["withdraw", *about],
        ["receipts", *about],
    )
    assert "pictures" in printed and "Who reads the report?" in printed and "south: withdrawn" in printed
    receipt, key = sorted((tmp_path / "study" / "receipts").glob("north*"), key=lambda file: file.suffix)
    verified = run_without(["receipt", "verify", str(receipt), "--key", str(key)], ["end", *about])
    assert verified.startswith("Valid: north")


def test_pysyft_is_opened_when_it_is_first_needed_and_once_for_all_threads(hospitals: dict[str, Hospital]) -> None:
    with Federation.connect(hospitals["north"].credentials()) as federation, ThreadPoolExecutor(4) as pool:
        north = federation.hospitals["north"]
        assert north._opened is None
        assert len({id(client) for client in pool.map(lambda _: north.client, range(8))}) == 1
