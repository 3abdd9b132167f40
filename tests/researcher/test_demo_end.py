"""However the demo ends, the hospitals that it started end too."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.hospitals import ENVIRONMENT
from support.waiting import wait_for

from researcher import demo as the_demo
from researcher.cli import main

# Stands in for launch_datasites.py: ready at once, and says when its standard input ended.
LAUNCHER = """
import sys
from pathlib import Path
print("All datasites are ready.", flush=True)
sys.stdin.read()
Path(__file__).with_name("stopped").write_text(" ".join(sys.argv[1:]))
"""
DEMO = """
import sys, time
from pathlib import Path
from policies.terminal.rich_terminal import PlainConsole
from researcher import demo
demo._PROJECT = Path(sys.argv[1])
with demo._hospitals(Path(sys.argv[1]) / "states", None, 1, PlainConsole()):
    print("running", flush=True)
    time.sleep(600)
"""


def test_a_demo_that_a_signal_ends_leaves_no_hospital_running(tmp_path: Path) -> None:
    (tmp_path / "launch_datasites.py").write_text(LAUNCHER)
    command = [sys.executable, "-c", DEMO, str(tmp_path)]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert demo.stdout
    with demo.stdout:
        assert any(line == "running\n" for line in demo.stdout)
        demo.kill()  # which no handler sees, so any other signal does the same
    assert demo.wait() == -signal.SIGKILL
    wait_for((tmp_path / "stopped").exists)
    wait_for(lambda: "--stop_with_stdin" in (tmp_path / "stopped").read_text())


# Stands in for a launcher whose hospitals do not start.
FAILING = """
import sys
print("hospital_a reads its pictures, " + "word " * 40 + "end", flush=True)
sys.exit("hospital_a did not start: its port is taken")
"""


def test_what_hospitals_tell_on_either_way_stands_in_the_demos_own_terminal_before_its_error(tmp_path: Path) -> None:
    (tmp_path / "launch_datasites.py").write_text(FAILING)
    command = [sys.executable, "-c", DEMO, str(tmp_path)]
    demo = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert demo.returncode == 1 and "The hospitals did not start; the line above says why." in demo.stderr
    # Written past the demo's console, it would stand in the middle of a line that the console keeps drawing anew.
    assert "hospital_a did not start: its port is taken\n" in demo.stdout and "port is taken" not in demo.stderr
    assert "hospital_a reads its pictures, " + "word " * 40 + "end\n" in demo.stdout  # nor is it broken


def test_a_demo_that_a_person_stops_says_that_it_begins_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(the_demo, "run_demo", stopped)
    assert main(["demo"]) == 130
    told = capsys.readouterr().err
    assert "begins anew" in told and "saved" not in told
