"""Namespaces of a run: a network with nothing in it, and process numbers of its own, so that all of it ends at once."""

from __future__ import annotations

import os
from pathlib import Path

from datasites.runs.sandbox import kernel

# Named as in the sandbox's report. The process namespace takes effect with the next child.
KINDS = {
    "network namespace": kernel.CLONE_NEWNET,
    "process namespace": kernel.CLONE_NEWPID,
    "message namespace": kernel.CLONE_NEWIPC,
}


def separate() -> dict[str, str]:
    """Gives this single-threaded process empty namespaces; what it forks next is the first process of its own.

    An account that is not root gets a user namespace around them, in which it keeps its own number.

    Returns:
        What could not be had: kind → why.
    """
    missing: dict[str, str] = {}
    if os.geteuid() != 0:
        try:
            _separate_user()
        except OSError as error:
            return dict.fromkeys(KINDS, f"a user namespace was refused ({error})")
    for kind, flag in KINDS.items():
        try:
            kernel.unshare(flag)
        except OSError as error:
            missing[kind] = str(error)
    return missing


def _separate_user() -> None:
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER)
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"{user} {user} 1")
    (own / "gid_map").write_text(f"{group} {group} 1")
