"""The lock of a state folder: the process that serves the datasite holds it until it ends."""

from __future__ import annotations

import fcntl
import os

from datasites.files.state_folder import StateFolder
from policies.errors import ConfigError

LOCK = "serving.lock"


def hold(state: StateFolder) -> int:
    """Takes the lock for as long as this process lives, and returns its descriptor.

    Guarantees:
        Two processes never serve one state folder at the same time.

    Raises:
        ConfigError: Another process serves it.
    """
    descriptor = os.open(state.path / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(f"A datasite is being served from {state.path} already. Stop that one first.") from error
    return descriptor


def is_running(state: StateFolder) -> bool:
    """Whether a process serves this state folder now."""
    try:
        descriptor = os.open(state.path / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def refuse_running(state: StateFolder) -> None:
    """Refuses work that needs a stopped datasite.

    Raises:
        ConfigError: It is running.
    """
    if is_running(state):
        raise ConfigError(f"The datasite at {state.path} is running. Stop it first, then try again.")
