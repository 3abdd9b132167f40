"""Namespaces of a run: a network with nothing in it, and process numbers of its own, so that all of it ends at once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from datasites.runs.sandbox import kernel

# Named as in the sandbox's report. The process namespace takes effect with the next child.
KINDS = {
    "network namespace": kernel.CLONE_NEWNET,
    "process namespace": kernel.CLONE_NEWPID,
    "message namespace": kernel.CLONE_NEWIPC,
}


PROCESS = "process namespace"


def separate(kinds: Iterable[str] = tuple(KINDS)) -> dict[str, str]:
    """Gives this single-threaded process empty namespaces; what it forks next is the first process of its own.

    An account that is not root gets a user namespace around them, in which it keeps its own number.

    Args:
        kinds: Which; runs have all of them.

    Returns:
        What could not be had: kind → why.
    """
    missing: dict[str, str] = {}
    if os.geteuid() != 0:
        try:
            _separate_user()
        except OSError as error:
            return dict.fromkeys(kinds, f"a user namespace was refused ({error})")
    for kind in kinds:
        try:
            kernel.unshare(KINDS[kind])
        except OSError as error:
            missing[kind] = str(error)
    return missing


def list_own_processes() -> None:
    """Shows this process `/proc` as its own process namespace numbers it, and none of the machine's other processes.

    Without that its threads have numbers which `/proc/self/task` does not know, and nobody in it can name a thread of
    its own. NVIDIA's driver does, and gives up where it cannot.

    Raises:
        OSError: The kernel refused: in containers it does so where parts of `/proc` are covered.
    """
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount(None, "/", kernel.MS_REC | kernel.MS_SLAVE)  # what the machine unmounts is unmounted here too
    kernel.mount("proc", "/proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)


def _separate_user() -> None:
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER)
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"{user} {user} 1")
    (own / "gid_map").write_text(f"{group} {group} 1")
