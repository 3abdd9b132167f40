"""Versions of the state folder's layout. Nothing here crosses the boundary.

`version.json` stands in every state folder from the first release on; a folder without one is of version 0. A datasite
serves a state of its own version only: an older one is migrated first, a newer one is left alone.
"""

from __future__ import annotations

import json
from pathlib import Path

import policies
from datasites.files.private_file import write_private
from policies.errors import StateVersionMismatch

FILE = "version.json"
UPGRADING = ".upgrading"
"""Folder in a state folder that an upgrade works in; there only while one is under way, or was killed."""
STATE_VERSION = 3


def read_version(folder: Path) -> int:
    """The version of a state folder, or of a backup's.

    Raises:
        StateVersionMismatch: The file cannot be read.
    """
    try:
        version = json.loads((folder / FILE).read_text())["state_version"]
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise _unreadable(folder, repr(error)) from error
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _unreadable(folder, f"state_version is {version!r}")
    return version


def write_version(folder: Path, version: int = STATE_VERSION) -> None:
    """Writes the version of a new, or of a migrated, state folder."""
    values = {"state_version": version, "wanwu": policies.__version__}
    write_private(folder / FILE, json.dumps(values) + "\n")


def check_version(state: Path) -> None:
    """Refuses a state folder of another version.

    Raises:
        StateVersionMismatch: Says which version it has, and what to do.
    """
    command = f"python -m datasites upgrade --backup FOLDER --state {state}"
    if (state / UPGRADING).exists():
        raise StateVersionMismatch(f"An upgrade of the state folder {state} was interrupted. Run it again: {command}")
    version = read_version(state)
    refuse_newer(version, f"The state folder {state}")
    if version < STATE_VERSION:
        raise StateVersionMismatch(
            f"The state folder {state} has version {version}, this program works with {STATE_VERSION}. Upgrade it; a "
            f"backup is made before: {command}"
        )


def refuse_newer(version: int, what: str) -> None:
    """Refuses what a newer program has written.

    Raises:
        StateVersionMismatch: With both versions.
    """
    if version > STATE_VERSION:
        raise StateVersionMismatch(
            f"{what} has version {version}; this program knows versions up to {STATE_VERSION} and leaves it alone. "
            "Install the program that wrote it, or a newer one."
        )


def _unreadable(folder: Path, why: str) -> StateVersionMismatch:
    return StateVersionMismatch(
        f"{folder / FILE} cannot be read, so nobody knows which version the state has. Restore it from a backup.",
        private=why,
    )
