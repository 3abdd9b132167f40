"""The first hospital's tutorial: its commands one after the other, and what the page says that they print."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.hospitals import ENVIRONMENT, PROJECT
from support.ports import free_port
from support.waiting import CEILING_SECONDS, wait_for

PAGE = PROJECT / "docs" / "tutorial-first-hospital.md"
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
NUMBER_ON_THE_PAGE = "5f3c9a1e"
_HEXADECIMAL = re.compile(r"\b[0-9a-f]{8,}\b")


@dataclass
class Reader:
    """Somebody who types what the page tells, in an empty folder.

    Attributes:
        folder: Where.
        port: Of the datasite, in place of the page's, which another test may have.
        printed: What the last commands printed, as it is compared.
        request: The request's own number; empty until the page tells one.
        terminals: Programs that go on beside the others, each with its output: the datasite, then the researcher.
    """

    folder: Path
    port: int
    printed: str = ""
    request: str = ""
    terminals: list[tuple[subprocess.Popen[str], Path]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**ENVIRONMENT, "COLUMNS": "120", "PATH": search}

    def types(self, line: str, *, status: int = 0) -> str:
        """Runs a line to its end; returns what it printed."""
        done = subprocess.run(
            ["bash", "-c", self._own(line)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=CEILING_SECONDS,
        )
        assert done.returncode == status, f"{line}\n{done.stdout}"
        return done.stdout

    def opens_a_terminal(self, line: str, until: str) -> str:
        """Starts what goes on, and waits until it has printed something."""
        output = self.folder / f"terminal {len(self.terminals)}.txt"
        with output.open("w") as stream:
            started = subprocess.Popen(
                ["bash", "-c", f"exec {self._own(line)}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.terminals.append((started, output))
        wait_for(lambda: until in output.read_text(), alive=lambda: started.poll() is None)
        return output.read_text()

    def waits(self) -> str:
        """What the terminal that was opened last has printed when it has ended."""
        started, output = self.terminals[-1]
        assert started.wait(timeout=CEILING_SECONDS) == 0, output.read_text()
        return output.read_text()

    def leaves(self) -> None:
        for started, _ in reversed(self.terminals):
            if started.poll() is None:
                started.send_signal(signal.SIGTERM)
                started.wait(timeout=CEILING_SECONDS)

    def sees(self, line: str) -> None:
        """Fails unless the last commands printed this line of the page."""
        pattern = r".*".join(re.escape(part.strip()) for part in _plain(line).split("..."))
        assert re.search(f"^{pattern}", self.printed, re.MULTILINE), f"not printed: {line}\n\n{self.printed}"

    def _own(self, line: str) -> str:
        line = line.replace(NUMBER_ON_THE_PAGE, self.request or NUMBER_ON_THE_PAGE)
        return f"{line} --port {self.port}" if " init " in line else line


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    somebody = Reader(tmp_path, free_port())
    try:
        yield somebody
    finally:
        somebody.leaves()


def _plain(text: str) -> str:
    """A text without what differs each time: numbers in hexadecimal, how wide a table's columns are, and the sign of a
    comment, which `inspect` prints where no terminal reads it.
    """
    lines = (re.sub(r" +", " ", line).strip().removeprefix("# ") for line in _HEXADECIMAL.sub("#", text).split("\n"))
    return "\n".join(lines)


def _follow(reader: Reader, how: str, lines: list[str]) -> str:
    """Does what a block of commands tells; returns what was printed."""
    if how == "serve":
        return reader.opens_a_terminal(lines[0], "ready").replace(str(reader.port), "8081")
    if how == "beside":
        printed = reader.opens_a_terminal(lines[0], "waiting for")
        found = re.search(r"request ([0-9a-f]{8})", printed)
        assert found, printed
        reader.request = found[1]
        return printed
    return "".join(reader.types(line, status=int(how == "fails")) for line in lines)


@pytest.mark.slow
def test_each_command_of_the_page_runs_and_prints_what_the_page_says(reader: Reader) -> None:
    proposed: dict[str, object] = {}
    for kind, how, text in BLOCKS:
        lines = text.splitlines()
        if kind == "sh" and how != "skip":
            printed = _follow(reader, how, lines)
            reader.printed = _plain(printed)
            if " inspect " in text:
                proposed = tomllib.loads(printed[printed.index("[dataset]") :])["dataset"]
        elif kind == "toml":
            (reader.folder / how).write_text(text)
            _is_what_was_proposed(tomllib.loads(text)["dataset"], proposed, reader.folder)
        elif kind == "text":
            if how == "wait":
                reader.printed = _plain(reader.waits())
            for line in lines:
                reader.sees(line)
    assert (reader.folder / "out" / "effusion" / "report.html").is_file()
    samples = (reader.folder / "state" / "hospital_a" / "dataset.html").read_text()
    assert "PRACTICE-" not in samples and "Practice^" not in samples


def _is_what_was_proposed(written: dict[str, object], proposed: dict[str, object], folder: Path) -> None:
    """The page's settings are those that were printed, with a name and a size more."""
    paths = {name: str((folder / str(written[name])).resolve()) for name in ("data_path", "table")}
    assert {**written, **paths} == {**proposed, "name": "chest", "size": [64, 64]}
