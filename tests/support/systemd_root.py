"""`make systemd-root`: a file system of Debian with systemd, in out/deployment, for the test of a datasite's service.

mmdebstrap makes it of Debian's packages. Without root, mmdebstrap or systemd-nspawn it says what is missing, and the
test is skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from support.chart_tools import FOLDER

ROOT = FOLDER / "systemd-root.tar"
PACKAGES = ("systemd-sysv", "dbus", "python3.11", "libstdc++6", "ca-certificates", "tzdata")
PROGRAMS = {"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux"}


def missing() -> str:
    """What this machine lacks for booting a root of its own; empty where nothing is."""
    if os.geteuid() != 0:
        return "only root boots a file system of its own"
    lacking = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    return f"Debian's packages that are not here: {', '.join(lacking)}" if lacking else ""


def main() -> None:
    """Makes the root, unless it is there."""
    if ROOT.exists():
        return
    if lacking := missing():
        print(f"The test of a datasite under systemd is skipped: {lacking}.")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    half = ROOT.with_suffix(".half.tar")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    # mmdebstrap's own parts are for the system's interpreter, not for that of an environment.
    system = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    subprocess.run(
        [*command, *os.environ.get("MMDEBSTRAP_FLAGS", "").split(), "bookworm", str(half)], env=system, check=True
    )
    half.rename(ROOT)


if __name__ == "__main__":
    main()
