"""Landlock: a process gives up the file system, but for what is named; then no picture can be written anywhere.

See the kernel's Documentation/userspace-api/landlock.rst. Rules hold for this process and all it will ever start, and
can only become tighter.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from datasites.runs.sandbox import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _READ_FILE, _READ_DIR = 1, 1 << 2, 1 << 3
_WRITE_FILE, _IOCTL_DEV = 1 << 1, 1 << 15
# Of files and folders in a folder: remove both, make folders and plain files.
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _TRUNCATE = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 14
# How many kinds of access to files each version knows: 13 at first, then moving, truncating, device ioctls.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP_BIND_AND_CONNECT = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
_OWN = Path("/proc/self")
TRUNCATE_VERSION, TCP_VERSION, DEVICE_VERSION, SCOPE_VERSION = 3, 4, 5, 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("tcp", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """Landlock's version in this kernel; 0 where there is none."""
    try:
        return kernel.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    except OSError:
        return 0


def restrict(
    *,
    readable: Iterable[Path] = (),
    devices: Iterable[Path] = (),
    programs: Iterable[Path] = (),
    writable: Iterable[Path] = (),
    named: Iterable[Path] = (),
) -> None:
    """From here on, this process opens nothing but what is named, and makes, writes, moves and executes nothing else.

    Files that are open already stay so. Needs `PR_SET_NO_NEW_PRIVS`. Where the kernel knows how, TCP ports, abstract
    sockets and signals beyond this process are closed too.

    Args:
        readable: Folders and files to read. What does not exist is left out.
        devices: Device files to read, write and control.
        programs: Folders and files to read and execute; what is executed is under the same rules.
        writable: Folders in which to make, write, read and remove plain files and folders.
        named: Folders whose files may be read and written by who knows their names.

    Raises:
        OSError: The kernel has no Landlock, or refused.
    """
    known = version()
    if not known:
        raise OSError("the kernel has no Landlock")
    rules = _Ruleset(
        files=(1 << _FILE_RIGHTS.get(known, 16)) - 1,
        tcp=_TCP_BIND_AND_CONNECT if known >= TCP_VERSION else 0,
        scoped=_ABSTRACT_SOCKETS_AND_SIGNALS if known >= SCOPE_VERSION else 0,
    )
    ruleset = kernel.syscall(
        _CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(ctypes.sizeof(rules)), ctypes.c_uint32(0)
    )
    try:
        for path in readable:
            _allow(ruleset, path, _READ_FILE | _READ_DIR)
        for path in programs:
            _allow(ruleset, path, _EXECUTE | _READ_FILE | _READ_DIR)
        making = _READ_FILE | _READ_DIR | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG
        for path in writable:
            _allow(ruleset, path, making | (_TRUNCATE if known >= TRUNCATE_VERSION else 0))
        for path in named:
            _allow(ruleset, path, _READ_FILE | _WRITE_FILE)
        control = _IOCTL_DEV if known >= DEVICE_VERSION else 0
        for path in devices:
            _allow(ruleset, path, _READ_FILE | _WRITE_FILE | control)
        kernel.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, access: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            access &= ~_READ_DIR
        rule = _PathBeneath(access, parent)
        kernel.syscall(
            _ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0)
        )
    finally:
        # The kernel makes files of /proc/self anew once it has forgotten them, and a rule is for those that it was made
        # with. Those that are open it does not forget.
        if not path.is_relative_to(_OWN):
            os.close(parent)
