"""A machine of a test's own: a root of Debian, booted by systemd-nspawn with systemd as its first process.

It has a network of its own with nothing but loopback. The environment and the program of the tests are seen in it,
read-only, below /opt/wanwu.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sysconfig
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.chart_tools import PROJECT
from support.systemd_root import ROOT
from support.waiting import wait_for

PYTHON = "/opt/wanwu/environment/bin/python"
PROGRAM = "/opt/wanwu/program"
# What a run closes itself in with, and systemd-nspawn 252 does not know.
_CALLS = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")


@dataclass
class BootedMachine:
    """A machine that was booted.

    Attributes:
        root: Its file system, as this machine sees it.
        nspawn: The process that holds it.
    """

    root: Path
    nspawn: subprocess.Popen[bytes]

    @property
    def first(self) -> str:
        """Its first process, as this machine numbers it; empty while there is none."""
        with contextlib.suppress(OSError):
            return next(iter(Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()), "")
        return ""

    def wait_until_up(self) -> None:
        """Waits until all that starts with it has started."""

        def up() -> bool:
            if not self.first:
                return False
            return self.call("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

        wait_for(up, alive=lambda: self.lives)

    def switch_off(self) -> None:
        """Has its systemd stop everything, and waits for the end."""
        if self.lives:
            self.call("systemctl", "poweroff", check=False)
            self.nspawn.wait()

    def reboot(self) -> None:
        """Switches it off and on again."""
        self.switch_off()
        self.nspawn = _switched_on(self.root)
        self.wait_until_up()

    def call(self, *command: str, user: str = "root", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command on it, as one of its accounts.

        Args:
            command: Words.
            user: The account.
            check: Whether a status other than 0 is an error.
        """
        enter = ["nsenter", "--target", self.first, "--all", "--wd=/"]
        own = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "LANG=C.UTF-8", "OMP_NUM_THREADS=1"]
        switch = ["runuser", "-u", user, "--"] if user != "root" else []
        ran = subprocess.run([*enter, *own, *switch, *command], capture_output=True, text=True, check=False)
        assert not check or ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
        return ran

    def datasites(self, *words: str, user: str = "root", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs one of the hospital's commands on it."""
        inside = ["sh", "-c", f'cd {PROGRAM} && exec "$@"', "-"]
        return self.call(*inside, PYTHON, "-m", "datasites", *words, user=user, check=check)

    def told(self, unit: str, name: str) -> str:
        """A property of a unit, as its systemd tells it."""
        return self.call("systemctl", "show", "--value", "--property", name, unit).stdout.strip()

    def files(self, folder: str) -> dict[str, bytes]:
        """Path → content of every file below a folder of it."""
        below = self.root / folder.lstrip("/")
        found = (one for one in below.rglob("*") if one.is_file() and not one.is_symlink())
        return {str(one.relative_to(self.root)): one.read_bytes() for one in found}

    @property
    def lives(self) -> bool:
        """Whether it was not switched off."""
        return self.nspawn.poll() is None


def unpacked(folder: Path) -> Path:
    """A root of a machine's own, with an environment that has the packages of the tests'."""
    root = folder / "root"
    root.mkdir()
    with tarfile.open(ROOT) as file:
        file.extractall(root, filter="fully_trusted")
    environment = root / "opt/wanwu/environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin/python").symlink_to("/usr/bin/python3.11")
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    (environment / "lib/python3.11/site-packages").mkdir(parents=True)
    (root / PROGRAM.lstrip("/")).mkdir()
    return root


@contextmanager
def booted(root: Path) -> Iterator[BootedMachine]:
    """Boots a root, and switches it off in the end."""
    machine = BootedMachine(root, _switched_on(root))
    try:
        machine.wait_until_up()
        yield machine
    finally:
        try:
            machine.switch_off()
        finally:
            machine.nspawn.kill()
            machine.nspawn.wait()


def _switched_on(root: Path) -> subprocess.Popen[bytes]:
    packages = Path(sysconfig.get_path("purelib")).resolve()
    command = [
        *("systemd-nspawn", "--quiet", "--boot", "--directory", str(root), "--register=no", "--keep-unit"),
        *("--private-network", "--link-journal=no", "--console=pipe", f"--system-call-filter={' '.join(_CALLS)}"),
        f"--bind-ro={packages}:/opt/wanwu/environment/lib/python3.11/site-packages",
        *(f"--bind-ro={PROJECT / name}:{PROGRAM}/{name}" for name in ("policies", "datasites", "researcher")),
    ]
    with root.with_name("boot.log").open("ab") as out:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)


def health(machine: BootedMachine, port: int) -> str:
    """What a datasite's console on the machine says of itself; empty where it says nothing."""
    ask = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}/health').read().decode())"
    told = machine.call(PYTHON, "-I", "-c", ask, check=False).stdout
    return told.strip()


def put(machine: BootedMachine, path: str, source: Path) -> None:
    """Copies a file to a place on the machine, for all of its accounts to read."""
    place = machine.root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)
    place.chmod(0o644)
