"""The commands of every day against two running hospitals of one build: processor seconds and wall, turn by turn.

All is done by the build's own command lines, so that an earlier checkout can stand beside this one.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from support.hospitals import CLASSES, RESEARCHER, draw_pictures, write_pictures
from support.ports import free_port

NAMES = ("north", "south")
# Two short rounds that hardly cost anything: what is measured are commands.
STUDY = ["--num_rounds", "2", "--sample_rate", "0.2", "--noise_multiplier", "12", "--model_option", "width=4"]


class Taken(NamedTuple):
    """What one call of a command took: of its own process and those that it started, not of the hospitals'."""

    processor_seconds: float
    wall_seconds: float


class Build:
    """One checkout with two running hospitals, a study that was trained and one that waits for each turn."""

    def __init__(self, name: str, checkout: Path, folder: Path) -> None:
        self.name, self._folder = name, folder
        self._checkout = checkout  # what Python looks into first: a command is called from there
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._environment = {**environment, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        self._serving: list[subprocess.Popen[bytes]] = []
        folder.mkdir()

    def open(self) -> None:
        """Makes the hospitals, starts them, and trains a study."""
        named = self._called([sys.executable, "-c", "import researcher; print(researcher.__file__)"]).stdout.strip()
        assert Path(named).is_relative_to(self._checkout), f"{self.name} would be the build of {named}"
        data, test = self._folder / "pictures.npz", self._folder / "test.npz"
        write_pictures(data, sites=NAMES)
        images, labels = draw_pictures(60, seed=9)
        np.savez(test, images=images, labels=labels, class_names=np.array(CLASSES))
        for name in NAMES:
            described = ["--port", str(free_port()), "--data_path", data, "--site", name, "--researcher", RESEARCHER]
            self.run("datasites", "init", "--name", name, "--state", self._state(name), *described)
            config = self._state(name) / "config.toml"
            config.write_text(
                re.sub("^require_sandbox = true", "require_sandbox = false", config.read_text(), flags=re.M)
            )
            serve = [sys.executable, "-m", "datasites", "serve", "--state", str(self._state(name))]
            self._serving.append(
                subprocess.Popen(serve, stdout=subprocess.PIPE, cwd=self._checkout, env=self._environment)
            )
        for one in self._serving:
            assert one.stdout and one.stdout.readline().startswith(b"ready"), self.name
        self.submit("study")
        self._approve("study")
        self.run("researcher", "train", *self._access(), "--out", self._folder / "study", "--test", test)

    def close(self) -> None:
        """Stops the hospitals."""
        for one in self._serving:
            one.send_signal(signal.SIGTERM)
        for one in self._serving:
            one.wait()

    def submit(self, study: str) -> Taken:
        """Submits a study into a folder of its name."""
        return self.run("researcher", "submit", *self._access(), "--out", self._folder / study, *STUDY)

    def turn(self, number: int) -> dict[str, Taken]:
        """Each command of every day once."""
        study, waiting = self._folder / "study", f"waiting{number}"
        taken = {"researcher submit": self.submit(waiting)}
        request = self._requests(waiting)["north"]
        about, state = [*self._access(), "--out", study], ["--state", self._state("north")]
        receipt = [study / "receipts" / "north.receipt.json", "--key", study / "receipts" / "north.key"]
        calls: dict[str, Sequence[str | Path]] = {
            "researcher check": self._credentials(),
            "researcher catalog": self._access(),
            "researcher status": about,
            "researcher messages": about,
            "researcher receipts": about,
            "researcher receipt verify": receipt,
            "researcher evaluate": [study / "global_model.safetensors", "--test", self._folder / "test.npz"],
            "datasites requests": state,
            "datasites show": [request, *state],
            "datasites approve": [request, *state],
            "datasites runs": state,
            "datasites budget": state,
            "datasites limits": state,
            "datasites researchers": state,
        }
        known = self._known()
        for call, arguments in calls.items():
            program, *words = call.split()
            if words[0] in known[program]:
                taken[call] = self.run(program, *words, *arguments)
        taken["researcher end"] = self.run("researcher", "end", *self._access(), "--out", self._folder / waiting)
        return taken

    def run(self, program: str, *arguments: str | Path) -> Taken:
        """Runs one command line of the build, which must succeed."""
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [sys.executable, "-m", program, *map(str, arguments)]
        done = self._called(command)
        after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        assert done.returncode == 0, f"{self.name}: {command[2:]}: {done.stdout}{done.stderr}"
        processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return Taken(processor, ended - begun)

    def _known(self) -> dict[str, set[str]]:
        """The commands that the build has."""
        found = {}
        for program in ("researcher", "datasites"):
            command = [sys.executable, "-m", program, "--help"]
            found[program] = set(re.findall(r"^ {2,4}([a-z]+)\b", self._called(command).stdout, flags=re.M))
        return found

    def _called(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, capture_output=True, text=True, cwd=self._checkout, env=self._environment, check=False
        )

    def _approve(self, study: str) -> None:
        for name, request in self._requests(study).items():
            self.run("datasites", "approve", request, "--state", self._state(name))

    def _requests(self, study: str) -> dict[str, str]:
        requests: dict[str, Any] = json.loads((self._folder / study / "study.json").read_text())["requests"]
        return {name: request["request_id"] for name, request in requests.items()}

    def _state(self, name: str) -> Path:
        return self._folder / name

    def _credentials(self) -> list[Path]:
        return [self._state(name) / "credentials" / f"{RESEARCHER}.json" for name in NAMES]

    def _access(self) -> list[str | Path]:
        return ["--credentials", *self._credentials()]
