"""Calls to the Linux kernel that Python has no function for; with them a run is closed in before it sees any code."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36
PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 22, 24, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
CLONE_NEWNS = 0x0002_0000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_SLAVE = 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 19
CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC = 0x1000_0000, 0x4000_0000, 0x2000_0000, 0x0800_0000
_MADV_COLLAPSE = 25
_CAPABILITY_VERSION_3 = 0x2008_0522
_LAST_CAPABILITY = 63


@lru_cache(maxsize=1)
def libc() -> ctypes.CDLL:
    """The C library, with errno kept. Load it before a process is closed in."""
    return ctypes.CDLL(None, use_errno=True)


def syscall(number: int, *arguments: object) -> int:
    """Calls the kernel by number.

    Raises:
        OSError: The kernel refused.
    """
    return _checked(libc().syscall(ctypes.c_long(number), *arguments), f"syscall {number}")


def prctl(option: int, value: object = 0, argument: object = 0) -> int:
    """Sets an attribute of this process.

    Raises:
        OSError: The kernel refused.
    """
    unsigned = [ctypes.c_ulong(item) if isinstance(item, int) else item for item in (value, argument, 0, 0)]
    return _checked(libc().prctl(ctypes.c_int(option), *unsigned), f"prctl {option}")


def unshare(flags: int) -> None:
    """Gives this process namespaces of its own.

    Raises:
        OSError: The kernel refused.
    """
    _checked(libc().unshare(ctypes.c_int(flags)), f"unshare {flags:#x}")


def mount(kind: str | None, place: str, flags: int) -> None:
    """Mounts a file system of the kernel's own on a folder of this process's mount namespace, or changes a mount.

    Args:
        kind: Of file system; None to change what is mounted there.
        place: The folder.
        flags: As in mount(2).

    Raises:
        OSError: The kernel refused.
    """
    source = None if kind is None else kind.encode()
    _checked(libc().mount(source, place.encode(), source, ctypes.c_ulong(flags), None), f"mount {place}")


def gather_pages(address: int, size: int) -> None:
    """Gathers a range of this process's memory into huge pages, now (Linux 6.1).

    Raises:
        OSError: The kernel refused, of some part at least.
    """
    _checked(libc().madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), _MADV_COLLAPSE), "madvise")


def drop_capabilities() -> None:
    """Gives up every capability, for this process and for whatever it might execute.

    Raises:
        OSError: The kernel refused.
    """
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break  # past the last one that this kernel knows, or not allowed to; then there is none to inherit
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    _checked(libc().capset(header, none), "capset")


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return int(result)
