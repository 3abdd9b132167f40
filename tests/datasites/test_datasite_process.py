"""Datasites as processes of a launcher: one that ends is told of, and the others go on."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasites.config import DatasiteConfig
from datasites.datasite_process import LAST_LINES, DatasiteProcess, wait_for_the_last, wait_until_ready
from datasites.files.state_folder import StateFolder
from policies.errors import ConfigError

READY = "import sys; print('ready', flush=True); sys.stdin.read()"
BROKEN = "import sys; print('WW830: books are gone', file=sys.stderr); sys.exit(1)"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[DatasiteProcess]]:
    """Stand-ins for three datasites: two get ready and go on until their standard input closes, one ends at once."""
    made = []
    for index, (name, does) in enumerate({"north": READY, "south": BROKEN, "west": READY}.items()):
        process = subprocess.Popen(
            [sys.executable, "-c", does], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        state = StateFolder(tmp_path / name)
        state.logs.mkdir(parents=True)
        (state.logs / "datasite.log").write_text("".join(f"{name}, line {number}\n" for number in range(2000)))
        made.append(DatasiteProcess(DatasiteConfig(name=name, port=8081 + index), state, process))
    yield made
    for one in made:
        one.process.kill()
        one.process.communicate()


def test_a_datasite_that_does_not_start_or_ends_later_leaves_the_others_running(started: list[DatasiteProcess]) -> None:
    lost: list[ConfigError] = []
    north, _, west = started
    assert wait_until_ready(started, lost.append) == [north, west]
    assert [error.public for error in lost] == ["Datasite 'south' did not start: WW830: books are gone"]
    north.process.send_signal(signal.SIGKILL)

    def told(error: ConfigError) -> None:
        lost.append(error)
        if "'north'" in error.public:
            assert west.process.poll() is None
            west.process.communicate(b"")  # closes its standard input, at which it ends

    wait_for_the_last([north, west], told)
    assert "'north' ended by itself, by SIGKILL, as the system ends" in lost[1].public
    assert lost[1].private.splitlines() == [f"north, line {number}" for number in range(2000 - LAST_LINES, 2000)]
    assert "'west' ended by itself, with status 0." in lost[2].public


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("WW801: Port 8081 is taken.", "Port 8081 is taken."),
        ("WW825: PostgreSQL is down.", "WW825: PostgreSQL is down."),
        ("Killed", "look at .*datasite.log"),
    ],
)
def test_why_one_did_not_start_is_in_its_own_words_of_this_start_with_each_code_once(
    tmp_path: Path, written: str, told: str
) -> None:
    program = f"import sys; print({written!r}, file=sys.stderr)"
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, stderr=pipe)
    state = StateFolder(tmp_path / "north")
    state.logs.mkdir(parents=True)
    (state.logs / "datasite.log").write_text("WW830: of an earlier start\n")
    error = DatasiteProcess(DatasiteConfig(name="north"), state, process).ended_too_early()
    process.communicate()
    assert re.fullmatch(f"Datasite 'north' did not start: {told}", error.public)
