"""However the demo ends, the hospitals that it started end too."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from support.hospitals import ENVIRONMENT
from support.waiting import wait_for

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
