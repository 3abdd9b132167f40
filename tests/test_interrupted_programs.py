"""Programs that end before they have begun anything: a person stops them, or their Python lacks what they need."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from references import PROJECT
from support.hospitals import ENVIRONMENT

import datasites.__main__
import launch_datasites
import researcher.__main__
import researcher.cli.commands
from policies.terminal.entry import INTERRUPTED, NOTHING_BEGUN
from researcher.cli import program
from researcher.cli.commands import FILES, GOES_ON, INVITED, NOTHING_CHANGED, SUBMITTED, TOLD, Interrupted

# What runs before the program: an import of the house that is interrupted, as by Ctrl-C at that moment.
WHILE_IT_IMPORTS = """
import runpy, sys
interrupted = sys.argv[1]
class Stop:
    def find_spec(self, name, *_):
        if name == interrupted:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Stop())
sys.argv = sys.argv[2:]
{run}
"""
AS_MODULE = "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
AS_FILE = "runpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.mark.parametrize(
    ("name", "interrupted", "run"),
    [
        ("datasites", "datasites.cli", AS_MODULE),
        ("datasites", "click", AS_MODULE),
        ("researcher", "researcher.cli", AS_MODULE),
        ("researcher", "researcher.cli.program", AS_MODULE),
        ("policies", "click", AS_MODULE),
        ("policies", "policies.whole_file", AS_MODULE),
        ("launch_datasites.py", "click", AS_FILE),
        ("launch_datasites.py", "datasites.first_settings", AS_FILE),
        ("launch_datasites.py", "policies.terminal.version_option", AS_FILE),
        ("launch_datasites.py", "policies.validate", AS_FILE),  # of an option that comes later
    ],
)
def test_a_program_that_is_stopped_while_it_is_imported_ends_in_one_line(
    name: str, interrupted: str, run: str, tmp_path: Path
) -> None:
    program = [sys.executable, "-c", WHILE_IT_IMPORTS.format(run=run), interrupted]
    words = [str(PROJECT / name) if run == AS_FILE else name, "--state", str(tmp_path / "state")]
    done = subprocess.run([*program, *words], capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", f"{NOTHING_BEGUN}\n")


WITHOUT = """
import runpy, sys
missing = sys.argv[1]
class Gone:
    def find_spec(self, name, *_):
        if name == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Gone())
sys.argv = sys.argv[2:]
"""


@pytest.mark.parametrize(
    ("name", "run"),
    [("datasites", AS_MODULE), ("researcher", AS_MODULE), ("policies", AS_MODULE), ("launch_datasites.py", AS_FILE)],
)
def test_a_program_outside_the_virtual_environment_says_how_to_get_into_it(name: str, run: str) -> None:
    words = [str(PROJECT / name) if run == AS_FILE else name, "--help"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + run, "click", *words], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    for word in (f"This Python, {sys.executable}, has no click", "make setup", "source .venv/bin/activate"):
        assert word in done.stderr


def test_a_module_of_the_house_that_is_missing_is_told_as_the_fault_that_it_is() -> None:
    words = ["policies.terminal.commands", "researcher", "--help"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + AS_MODULE, *words], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 1
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'policies.terminal.commands'\n")


@pytest.mark.parametrize(
    ("main", "stopped"),
    [
        (datasites.__main__.main, "datasites.cli.main"),
        (researcher.__main__.main, "researcher.cli.main"),
        (launch_datasites.main, "launch_datasites.run"),
        (launch_datasites.main, "launch_datasites.make_program"),
    ],
)
def test_a_program_that_is_stopped_before_its_command_begins_ends_in_one_line(
    main: Callable[[], int], stopped: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stopped, stop)
    try:
        assert main() == INTERRUPTED
    finally:
        gc.enable()
        gc.unfreeze()
    assert capsys.readouterr().err == f"{NOTHING_BEGUN}\n"


SAID = {
    **dict.fromkeys(("catalog", "check", "status", "messages", "verify", "verify-model"), NOTHING_CHANGED),
    **dict.fromkeys(("train", "statistics", "gram", "simulate"), GOES_ON),
    **dict.fromkeys(("capture", "export", "report", "evidence", "receipts"), FILES),
    **dict.fromkeys(("submit", "repeat"), SUBMITTED),
    **dict.fromkeys(("end", "withdraw"), TOLD),
    "invite": INVITED,
    "answer": "The answer may have been sent: look with 'messages' before you send it again.",
    "evaluate": "What hospitals were asked for is kept, and a written file is whole; run the command again.",
    "serve": "Nothing is served any more.",
    "demo": "The demo's hospitals are stopped; run it again, and it begins anew.",
}


def test_each_command_of_the_researcher_says_what_is_true_where_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(researcher.cli.commands, "_quieten", stop)
    said: dict[str, str] = {}

    def try_each(commands: Any) -> None:
        for name, one in commands.items():
            if hasattr(one, "commands"):
                try_each(one.commands)
                continue
            with pytest.raises(Interrupted) as interrupted:
                one.callback()
            said[name] = str(interrupted.value)

    try_each(program.make_program().commands)
    assert said == SAID


@pytest.mark.parametrize(
    "end", ["raise KeyboardInterrupt", "import os, signal\n    os.kill(os.getpid(), signal.SIGINT)"]
)
def test_a_capture_that_is_stopped_says_nothing_of_rounds(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slow_network.py").write_text("def network():\n    raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "graph.json"
    words: Sequence[str] = ("slow_network:network", "--image_shape", "8x8x1", "--num_classes", "2", "--out", str(out))
    assert program.main(["capture", *words]) == INTERRUPTED
    assert capsys.readouterr().err == f"Interrupted. {FILES}\n"
    assert not out.exists()
    sys.modules.pop("slow_network", None)
