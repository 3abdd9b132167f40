"""Steps that an installation has the machine do, in order: each is told before it is done, and can be done again."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from datasites.installation.service import Service
from policies.errors import ConfigError

_BOOTED = Path("/run/systemd/system")
_MOST_SECONDS = 300


@dataclass(frozen=True)
class Step:
    """One command of the machine.

    Attributes:
        command: Its words; empty where the state folder is handed to the account.
        told: What it does.
    """

    command: tuple[str, ...]
    told: str


def of_installing(service: Service, *, start: bool) -> tuple[Step, ...]:
    """What follows the files: the account, the state folder's owner, the unit."""
    name = f"wanwu-{service.name}.conf"
    now = Step(("systemctl", "start", service.unit), "starts the datasite, and waits until it is ready")
    return (
        Step(("systemd-sysusers", name), f"makes the account {service.account}, unless it is there"),
        Step((), f"gives {service.state} and all in it to {service.account}"),
        Step(("systemd-tmpfiles", "--create", name), f"lets nobody else into {service.state}"),
        Step(("systemctl", "daemon-reload"), "has systemd read its units"),
        Step(("systemctl", "enable", service.unit), "starts the datasite with the machine from now on"),
        *((now,) if start else ()),
    )


def of_uninstalling(service: Service, *, unit_there: bool) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """What goes before the files are removed, and what follows.

    Args:
        service: That is uninstalled.
        unit_there: Whether its unit's file is; systemd disables no unit without one.
    """
    before = Step(("systemctl", "disable", "--now", service.unit), "stops the datasite, and starts it no more")
    return (before,) * unit_there, (Step(("systemctl", "daemon-reload"), "has systemd read its units"),)


def refuse_root(account: str) -> None:
    """Refuses an account that is root by another name.

    Raises:
        ConfigError: It is.
    """
    try:
        number = pwd.getpwnam(account).pw_uid
    except KeyError:
        return
    if number == 0:
        raise ConfigError(f"{account} is root by another name: give an account of its own with --account.")


def check_machine() -> None:
    """Returns where services can be installed.

    Raises:
        ConfigError: The machine was not booted with systemd, or this account may not.
    """
    if not _BOOTED.is_dir():
        raise ConfigError(
            "This machine was not booted with systemd. Give --root FOLDER to write the files for another one, or start "
            "'python -m datasites serve' by what starts services here."
        )
    if os.geteuid() != 0:
        raise ConfigError("Installing a service is root's: run the same command as root.")


def do(step: Step, service: Service) -> None:
    """Does one step.

    Raises:
        ConfigError: It failed; the text tells what the machine said.
    """
    if not step.command:
        _hand_over(service)
        return
    program = shutil.which(step.command[0])
    if program is None:
        raise ConfigError(f"{step.command[0]} is not on this machine. Install systemd's own programs.")
    try:
        ran = subprocess.run(
            [program, *step.command[1:]], capture_output=True, text=True, timeout=_MOST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"'{' '.join(step.command)}' did not end within {_MOST_SECONDS} s; what came before it is done. "
            f"Look how far it is: systemctl status {service.unit}."
        ) from error
    if ran.returncode != 0:
        raise ConfigError(
            f"'{' '.join(step.command)}' failed with status {ran.returncode}; what came before it is done. Mend it, "
            f"then run the same again. More is told by: journalctl --unit {service.unit}.",
            private=ran.stderr.strip(),
        )


def _hand_over(service: Service) -> None:
    """Gives the state folder to the account; no link is followed, whatever the account makes of it meanwhile."""
    try:
        account = pwd.getpwnam(service.account)
        for parent in service.state.parents:
            about = parent.stat()
            if not (about.st_mode & 0o001 or about.st_uid == account.pw_uid):
                raise ConfigError(f"{parent} lets {service.account} not through to what is below it: chmod o+x it.")
        for folder, folders, files, inside in os.fwalk(service.state):
            _refuse_doubled(Path(folder), files, inside, account.pw_uid)
            os.chown(inside, account.pw_uid, account.pw_gid)
            for name in (*folders, *files):
                os.chown(name, account.pw_uid, account.pw_gid, dir_fd=inside, follow_symlinks=False)
    except KeyError as error:
        raise ConfigError(f"There is no account {service.account}. Make it, then run the same again.") from error
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be given to {service.account} ({error.strerror}).") from error


def _refuse_doubled(folder: Path, files: list[str], inside: int, account: int) -> None:
    """Refuses a file of somebody else that has a further name, which may lie anywhere on the machine.

    Raises:
        ConfigError: There is one.
    """
    for name in files:
        about = os.stat(name, dir_fd=inside, follow_symlinks=False)
        if about.st_nlink > 1 and about.st_uid != account:
            raise ConfigError(
                f"{folder / name} is a file with another name elsewhere, which would be given away with it. Put a copy "
                "in its place, then run the same again."
            )
