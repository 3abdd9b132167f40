"""Datasites for tests: real PySyft, real sockets, real processes, small pictures."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from support.nursery import Born, born_datasite, born_researcher
from support.ports import free_port
from support.waiting import CEILING_SECONDS

PROJECT = Path(__file__).resolve().parents[2]
RESEARCHER, STRANGER = "researcher@university.org", "stranger@university.org"
CLASSES = ("dark", "bright")
REPORT_MARK = "zyzzyva4711"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}  # wide tables


def draw_pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that a model can tell apart after a few steps: dark and bright pictures, 16x16x1."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    images = rng.normal(80 + 96 * labels[:, None, None, None], 25, (count, 16, 16, 1))
    return images.clip(0, 255).astype(np.uint8), labels.astype(np.int64)


def write_pictures(file: Path, *, sites: tuple[str, ...], each: int = 150) -> None:
    drawn = [draw_pictures(each, seed) for seed in range(len(sites))]
    np.savez(
        file,
        images=np.concatenate([images for images, _ in drawn]),
        labels=np.concatenate([labels for _, labels in drawn]),
        sites=np.repeat(sites, each),
        class_names=np.array(CLASSES),
    )


def write_pictures_with_reports(file: Path, pictures: Path) -> None:
    """Writes these pictures with a report beside each, which ends with a word that must not leave the hospital."""
    from datasites.assets.drawn.reports import draw

    arrays = dict(np.load(pictures))
    _, _, reports = draw(len(arrays["labels"]), seed=1)
    np.savez(file, **arrays, reports=np.array([f"{report} {REPORT_MARK}" for report in reports]))


def command(*arguments: str | Path, check: bool = True, forked: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs one of the platform's commands to its end.

    A researcher's is `forked` from a process that has imported PySyft and torch, unless its start is what is tested.
    """
    words = [str(argument) for argument in arguments]
    if forked and words[:2] == ["-m", "researcher"]:
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            born = born_researcher(words, ENVIRONMENT, out=out.fileno(), errors=errors.fileno())
            status = born.wait(timeout=CEILING_SECONDS)
            texts = [(file.seek(0), file.read())[1] for file in (out, errors)]
        done = subprocess.CompletedProcess(words, status, *texts)
    else:
        whole = [sys.executable, *words]
        done = subprocess.run(whole, capture_output=True, text=True, env=ENVIRONMENT, timeout=CEILING_SECONDS)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def admin_command(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a command of `python -m datasites` to its end, without a process of its own: that starts for half a second.

    What starts a datasite or leaves the process otherwise changed for good belongs in `command`.
    """
    from datasites.cli import main

    words, out, errors = [str(argument) for argument in arguments], io.StringIO(), io.StringIO()
    hook, mask = sys.excepthook, os.umask(0o022)
    try:
        with patch.dict(os.environ, COLUMNS=ENVIRONMENT["COLUMNS"]), redirect_stdout(out), redirect_stderr(errors):
            status = main(words)
    finally:
        sys.excepthook = hook
        os.umask(mask)
    done = subprocess.CompletedProcess(words, status, out.getvalue(), errors.getvalue())
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def admin_command_as(person: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command with the token of one of the hospital's people, whatever comes of it."""
    return admin_command(*arguments, "--as", person, check=False)


@dataclass
class Hospital:
    """One datasite of a test, with its admin's command line."""

    state: Path
    process: subprocess.Popen[bytes] | Born | None = field(default=None, repr=False)

    def start(self, *, forked: bool = False) -> None:
        """Starts the datasite as an operator does, or `forked` from a process that has imported everything."""
        if forked:
            self.process = born_datasite(self.state, ENVIRONMENT)
            return
        self.process = subprocess.Popen(
            [sys.executable, "-m", "datasites", "serve", "--stop_with_stdin", "--state", str(self.state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
            start_new_session=True,
        )

    def wait_until_ready(self) -> None:
        assert self.process and self.process.stdout
        line = self.process.stdout.readline()
        assert line.startswith(b"ready"), (self.state / "logs" / "datasite.log").read_text()

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        self.process.wait(timeout=CEILING_SECONDS)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream
            stream.close()
        self.process = None

    def configure(self, **settings: Any) -> None:
        """Writes settings and limits into its config.toml, which is read at its start."""
        config = self.state / "config.toml"
        text = config.read_text()
        for name, value in settings.items():
            text, found = re.subn(f"^{name} = .*$", f"{name} = {json.dumps(value)}", text, flags=re.MULTILINE)
            assert found == 1, name
        config.write_text(text)

    def admin(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return admin_command(*arguments, "--state", self.state, check=check)

    def serve_in_vain(self) -> subprocess.CompletedProcess[str]:
        """Starts the datasite as `start` does, where it is to end with an error."""
        return command("-m", "datasites", "serve", "--state", self.state, check=False)

    def admin_json(self, *arguments: str) -> Any:
        return json.loads(self.admin(*arguments, "--json").stdout)

    def add(self, person: str, role: str) -> Path:
        """Adds one of the hospital's people; the file of their token, which is in nothing that was printed."""
        printed = self.admin("staff", "add", person, "--role", role).stdout
        file = self.state / "credentials" / "staff" / f"{person}.json"
        assert json.loads(file.read_text())["token"] not in printed
        return file

    def ledger_entries(self) -> int:
        from datasites.files.state_folder import StateFolder
        from datasites.state.kept_books import open_ledger

        return len(open_ledger(StateFolder(self.state)).entries())

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = (self.state / "audit.log").read_text().splitlines()
        return [entry for entry in map(json.loads, lines) if entry["event"] == name]

    def credentials(self, email: str = RESEARCHER) -> Path:
        return self.state / "credentials" / f"{email}.json"


def make_hospital(folder: Path, name: str, data: Path, *, unit: str = "picture", rehearses: bool = False) -> Hospital:
    """A hospital that begins with its pictures in `data`, or with the settings in it where it is a TOML file."""
    state = folder / name
    options = ["--port", str(free_port()), "--state", state, "--name", name]
    people = ["--researcher", RESEARCHER, "--researcher", STRANGER]
    described = ["--data_path", data, "--site", name, "--unit", unit]
    if data.suffix == ".toml":
        described = ["--settings", data]
    admin_command("init", *options, *described, *people)
    hospital = Hospital(state)
    if not rehearses:  # what only costs time in most tests
        hospital.configure(rehearse_requests=False)
    if not _sandbox_is_whole():
        hospital.configure(require_sandbox=False)
    return hospital


@contextmanager
def running(*hospitals: Hospital, forked: bool = True) -> Iterator[dict[str, Hospital]]:
    """These datasites by name, started together and stopped whatever happens."""
    try:
        for hospital in hospitals:
            hospital.start(forked=forked)
        for hospital in hospitals:
            hospital.wait_until_ready()
        yield {hospital.state.name: hospital for hospital in hospitals}
    finally:
        for hospital in hospitals:
            hospital.stop()


@cache
def _sandbox_is_whole() -> bool:
    """Whether this machine has every piece that runs need: the tests of the pieces are skipped where it has not."""
    from datasites.runs.sandbox.confinement import sandbox_report

    return all(piece.present for piece in sandbox_report() if piece.required)


def requests_of(study: Path, count: int) -> dict[str, str] | None:
    """Hospital → identifier of its request, once the study's folder holds so many: it gets one after the other."""
    if not (study / "study.json").exists():
        return None
    made = json.loads((study / "study.json").read_text())["requests"]
    return {name: request["request_id"] for name, request in made.items()} if len(made) == count else None


def small_plan(federation: Any, *, study: str, **changes: Any) -> Any:
    """Two short rounds that cost little: many studies fit into the hospitals' budget."""
    from researcher.planning.planning import StudySettings, make_plan

    settings = StudySettings(
        study=study,
        options={"width": 4},
        num_rounds=2,
        local_epochs=0.4,
        sample_rate=0.2,
        noise_multiplier=12.0,
        learning_rate=2.0,
    )
    made = make_plan(settings, federation.datasets())
    return replace(made, **changes) if changes else made


@contextmanager
def changed_decision(hospital: Hospital, request_id: str, column: str, value: str) -> Iterator[None]:
    """A decision of which somebody has changed a column; afterwards as it was: a datasite would not start with it."""
    change = f"UPDATE decisions SET {column}=? WHERE request_id=?"
    with closing(sqlite3.connect(hospital.state / "approvals.sqlite", timeout=CEILING_SECONDS)) as table:
        read = f"SELECT {column} FROM decisions WHERE request_id=?"
        (before,) = table.execute(read, (request_id,)).fetchone()
        with table:
            table.execute(change, (value, request_id))
        try:
            yield
        finally:
            with table:
                table.execute(change, (before, request_id))
