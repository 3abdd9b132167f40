"""Checks of a datasite's ports and processes, whether it runs or not."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from datasites.doctor.finding import OK, PROBLEM, WARNING, ExaminedDatasite, Finding
from datasites.state.lock import LOCK
from datasites.web.console_tls import ends_of
from datasites.web.listening import listen
from policies.errors import ConfigError

RENEW_DAYS = 30
_PROGRAMS = ("datasites", "wanwu-datasite")
"""What is served by is called so: a module in the project's folder, a command of the wheel and the images."""


def ports(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether the researchers' port is this datasite's, or free for it."""
    host, port = examined.config.host, examined.config.port
    if examined.running:
        yield _answers("researchers' port", host, port)
        yield _answers("console's port", examined.config.console_host, examined.console_port)
        return
    try:
        listen(host, port, chosen_by="port").close()
    except ConfigError:
        yield Finding("researchers' port", PROBLEM, f"{port} is taken by another program", "Stop it, or take another.")
    else:
        yield Finding("researchers' port", OK, f"{port} is free; the datasite is not running")


def certificates(examined: ExaminedDatasite) -> Iterator[Finding]:
    """When the certificates in identity/ expire, and the hospital's own for the console."""
    for file in sorted(examined.state.identity.glob("*.crt")):
        yield _valid_until(
            file,
            "Start the datasite again, which renews its own.",
            "Start the datasite again, which renews its own; docs/ref-cli.md has the commands.",
        )
    if own := examined.config.console_certificate:
        renew = "Have the hospital's authority renew it, put it in its place, and start the datasite again."
        yield _valid_until(Path(own).expanduser(), renew, renew)


def _valid_until(file: Path, soon: str, over: str) -> Finding:
    """What is to be said of one certificate, with what to do where it ends soon or has ended."""
    now, ends = datetime.now(UTC), ends_of(file)
    told = f"{file.name} is valid until {ends:%Y-%m-%d}"
    if ends <= now:
        return Finding("certificate", PROBLEM, f"{file.name} expired on {ends:%Y-%m-%d}", over)
    if (ends - now).days < RENEW_DAYS:
        return Finding("certificate", WARNING, told, soon)
    return Finding("certificate", OK, told)


def processes(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether a process of this datasite was left behind by one that is gone."""
    own = {pid: parent for pid, parent in _all_processes().items() if _belongs(pid, examined)}
    if examined.running:
        servers = [pid for pid in own if _serves(pid)]
        orphans = sorted(pid for pid in own if not _descends(pid, servers, own))
    else:
        orphans = sorted(own)
    if orphans:
        text = f"left behind by a datasite that is gone: {', '.join(map(str, orphans))}"
        yield Finding("processes", PROBLEM, text, f"kill {' '.join(map(str, orphans))}")
    else:
        yield Finding("processes", OK, f"{len(own)} of this datasite" if examined.running else "none left behind")


def _answers(name: str, host: str, port: int) -> Finding:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        return Finding(name, PROBLEM, f"{port} does not answer: {error.strerror or error}", "See logs/datasite.log.")
    return Finding(name, OK, f"{port} answers")


def _all_processes() -> dict[int, int]:
    """Process → parent."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError, IndexError):
                continue  # it has ended meanwhile
    return found


def _belongs(pid: int, examined: ExaminedDatasite) -> bool:
    """Whether a process works in this datasite's folder, as fork servers and runners do, or serves it."""
    state = examined.state.path.resolve()
    try:
        if Path(f"/proc/{pid}/cwd").readlink().is_relative_to(state) and pid != os.getpid():
            return _is_python(pid)
    except OSError:
        return False
    return _serves(pid) and _has_open(pid, state / LOCK)


def _has_open(pid: int, file: Path) -> bool:
    """Whether a process has a file open, as the one that serves has the lock, whatever its arguments are."""
    try:
        return any(link.readlink() == file for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _is_python(pid: int) -> bool:
    return "python" in (_arguments(pid) or [""])[0]


def _serves(pid: int) -> bool:
    arguments = _arguments(pid)
    return "serve" in arguments and any(Path(one).name in _PROGRAMS for one in arguments)


def _descends(pid: int, servers: list[int], own: dict[int, int]) -> bool:
    while pid not in servers and pid in own:
        pid = own[pid]
    return pid in servers


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []
