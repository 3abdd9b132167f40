"""Runs every attack of `hostile.py` through the real fork server and sandbox, as whoever started it.

python tests/support/attacks.py FOLDER        writes what came of each attack as JSON to standard output
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from support.array_store import SourcePictures, ingest  # noqa: E402
from support.hostile import ATTACKS, LIGHT_PROGRAM, PROGRAM, ROOM  # noqa: E402

from datasites.runs.processes.job import Job  # noqa: E402
from datasites.runs.processes.process import ForkServer  # noqa: E402
from datasites.runs.sandbox.confinement import Confinement, draw_uid  # noqa: E402
from datasites.runs.sandbox.limits import RunLimits  # noqa: E402
from policies.errors import WanwuError  # noqa: E402

LIMITS = RunLimits(
    memory_bytes_per_run=1 << 28,
    cpu_seconds_per_run=30,
    wall_seconds_per_run=60,
    processes_per_run=40,
    scratch_bytes_per_run=4 << 20,
)
# What a run's second process tries too.
BY_A_WORKER = (
    *("read", "list_folders", "change", "reach_out", "touch_processes", "start_processes", "undo_the_sandbox"),
    *("fork_without_end", "look_around", "fill_the_disk", "print_data", "say_data", "raise_data", "sleep"),
)
ABSTRACT = f"wanwu-test-{os.getpid()}"


def make_store(folder: Path, seed: int) -> Path:
    images = np.random.default_rng(seed).integers(0, 255, (60, 8, 8, 1)).astype(np.uint8)
    source = SourcePictures(
        images=images, labels=(np.arange(60) % 2).astype(np.int64), class_names=("a", "b"), patients=None
    )
    ingest(source, folder, name=folder.name)
    return folder


class Attacked:
    """A state folder with secrets in it, listeners beside it, and a fork server whose runs are hostile."""

    def __init__(self, folder: Path) -> None:
        os.umask(0o077)
        self.state = folder / "state"
        for part in ("identity", "scratch", "logs", "blobs"):
            (self.state / part).mkdir(parents=True)
        self.secrets = [self.state / "ledger.sqlite", self.state / "identity" / "key.json"]
        for secret in self.secrets:
            secret.write_text("secret")
        self.store = make_store(self.state / "store" / "pictures", 1)
        self.other = make_store(self.state / "store" / "other", 2)
        self.log = self.state / "logs" / "runs.log"
        self.fork_server = ForkServer(log=self.log, threads=1, program=PROGRAM if os.geteuid() == 0 else LIGHT_PROGRAM)
        self.heard: list[str] = []
        self.port, self.unix = self._listen(folder)
        self._count = 0

    def _listen(self, folder: Path) -> tuple[int, str]:
        tcp = socket.create_server(("127.0.0.1", 0))
        abstract, named = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        abstract.bind("\0" + ABSTRACT)
        named.bind(str(folder / "s"))
        os.chmod(folder / "s", 0o777)
        for name, listener in (("tcp", tcp), ("abstract", abstract), ("unix", named)):
            listener.listen()
            threading.Thread(target=self._hear, args=(name, listener), daemon=True).start()
        return tcp.getsockname()[1], str(folder / "s")

    def _hear(self, name: str, listener: socket.socket) -> None:
        while True:
            listener.accept()[0].close()
            self.heard.append(name)

    def told(self) -> dict[str, Any]:
        """What an attacker might have found out."""
        assert self.fork_server._process is not None
        return {
            "paths": [
                *map(str, self.secrets),
                str(self.other / "images.npy"),
                str(self.store / "images.npy"),
                "/etc/passwd",
                "/etc/hostname",
                "/proc/self/environ",
                "/proc/self/status",
                "/proc/1/status",
                "/sys/kernel/notes",
            ],
            "folders": [str(self.state), "/", "/tmp", "/proc", "/etc", "/proc/self/fd"],
            "file": str(self.secrets[0]),
            "folder": str(self.state),
            "port": self.port,
            "abstract": ABSTRACT,
            "unix": self.unix,
            "pids": {"datasite": os.getpid(), "fork_server": self.fork_server._process.pid, "init": 1},
        }

    def attack(
        self, name: str, *, limits: RunLimits = LIMITS, cancel_at: float | None = None, processes: int = 1
    ) -> dict[str, Any]:
        """What came of an attack: `result` (what the hostile code returned), or the error's texts."""
        self.fork_server.warm_up()
        self._count += 1
        scratch = self.state / "scratch" / str(self._count)
        scratch.mkdir()
        weights, result = self.state / "blobs" / "weights", scratch / "update"
        weights.write_text(json.dumps(self.told()).ljust(4 * ROOM))
        confinement = Confinement(limits, required=True, hidden=self.state.resolve(), uid=draw_uid())
        job = Job(name, 0, str(self.store), str(weights), str(result), confinement, processes=processes)
        shares: list[float] = []
        came: dict[str, Any] = {}
        runner = self.fork_server.start()
        begun = time.monotonic()
        try:
            runner.execute(
                job,
                begin=lambda: None,
                timeout_seconds=limits.wall_seconds_per_run,
                cancelled=lambda: cancel_at is not None and bool(shares) and shares[-1] >= cancel_at,
                progress=shares.append,
            )
            content = result.read_bytes()
            came["result"] = json.loads(content) if content.startswith(b"{") else content[:100].hex()
        except WanwuError as error:
            came.update(code=error.code, public=error.public, private=error.private)
        came.update(
            shares=shares,
            seconds=time.monotonic() - begun,
            gone=not Path(f"/proc/{runner.pid}").exists(),
            made=sorted(file.name for file in scratch.iterdir()),
            bytes=sum(file.stat().st_size for file in scratch.iterdir()),
        )
        return came


def main(folder: Path) -> None:
    attacked = Attacked(folder)
    before = {str(secret): [secret.read_text(), oct(secret.stat().st_mode)] for secret in attacked.secrets}
    quick = RunLimits(**{**vars(LIMITS), "wall_seconds_per_run": 2})
    busy = RunLimits(**{**vars(LIMITS), "cpu_seconds_per_run": 1})
    special = {"spin": {"limits": busy}, "pretend_to_be_done": {"limits": quick}, "sleep": {"cancel_at": 0.1}}
    came = {name: attacked.attack(name, **special.get(name, {})) for name in ATTACKS}  # type: ignore[arg-type]
    for name in BY_A_WORKER:
        limits = quick if name == "sleep" else LIMITS
        came[f"worker: {name}"] = attacked.attack(name, limits=limits, processes=2)
    came["sleep beyond the wall clock"] = attacked.attack("sleep", limits=quick)
    came["after all"] = attacked.attack("use_what_is_given")
    after = {str(secret): [secret.read_text(), oct(secret.stat().st_mode)] for secret in attacked.secrets}
    attacked.fork_server.stop()
    outcome = {
        "attacks": came,
        "heard": attacked.heard,
        "log": attacked.log.read_text(errors="replace"),
        "untouched": before == after and oct(attacked.state.stat().st_mode)[-3:] == "700",
        "uid": os.getuid(),
    }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
