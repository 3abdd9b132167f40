"""The seccomp filter: the system calls that a run may make. It closes what Landlock and namespaces do not cover.

Refused are the calls that start processes, open sockets, touch other processes, change files' owners, modes and times,
make memory or namespaces outside the limits, or load anything into the kernel, and every call that is newer than this
list. What training needs (threads, memory, files that are open) stays. See seccomp(2) and the kernel's
Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

from datasites.runs.sandbox import kernel

# name → number on x86_64, on aarch64 (None: has no such call)
DENIED: dict[str, tuple[int | None, int | None]] = {
    # processes
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "kcmp": (312, 272),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "move_pages": (279, 239),
    "migrate_pages": (256, 238), "setpriority": (141, 140), "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274), "ioprio_set": (251, 30),
    # sockets
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242),
    # what Landlock leaves open on files
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "utimensat": (280, 88), "futimesat": (261, None), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "truncate": (76, 45), "mknod": (133, None), "mknodat": (259, 33), "inotify_init": (253, None),
    "inotify_init1": (294, 26), "fanotify_init": (300, 262), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # memory and queues that limits do not count
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "semget": (64, 190),
    "msgget": (68, 186), "mq_open": (240, 180), "userfaultfd": (323, 282), "mlockall": (151, 230),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    # the kernel itself
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "bpf": (321, 280),
    "perf_event_open": (298, 241), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "personality": (135, 92), "acct": (163, 89), "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142),
    "syslog": (103, 116), "quotactl": (179, 60), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "ioperm": (173, None), "iopl": (172, None),
    "modify_ldt": (154, None), "uselib": (134, None), "vhangup": (153, 58), "lookup_dcookie": (212, 18),
}  # fmt: skip
# Of them, what NVIDIA's driver gives up without, or may: it lets a socket of its own listen, to which nobody comes, and
# memory of a file without a name is counted by the control group that runs with a GPU have.
_FOR_GPUS = ("bind", "listen", "memfd_create")
_TO_COMPILE = ("fork", "vfork", "execve")  # of them, what a process needs that starts compilers
_LAST_REVIEWED = 450  # set_mempolicy_home_node; what is newer does not exist for a run
_SOCKET, _UNIX, _SEQUENCED, _SOCKET_KIND = (41, 198), 1, 5, 0xF  # its kind, without the flags that go with it
_CLONE, _CLONE3, _TGKILL, _PRCTL, _PRLIMIT = (56, 220), (435, 435), (234, 131), (157, 167), (302, 261)
_CLONE_THREAD = 0x0001_0000
_NAMESPACES = 0x7E02_0000  # CLONE_NEWNS, and user, process, network, message, name and control group
_PR_SET_MM, _PR_SET_PTRACER = 35, 0x59616D61
_OWN_ATTRIBUTES = (
    kernel.PR_SET_PDEATHSIG,
    kernel.PR_SET_DUMPABLE,
    kernel.PR_SET_CHILD_SUBREAPER,
    _PR_SET_MM,
    _PR_SET_PTRACER,
)

_ARCHITECTURES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN, _AND = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = (
    0,
    4,
    16,
    24,
)  # offsets in struct seccomp_data, little-endian
_ALLOW, _KILL, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_FILTER = 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def restrict(*, compiles: bool = False, gpus: bool = False) -> None:
    """From here on, this process makes no call that `DENIED` names. Needs `PR_SET_NO_NEW_PRIVS`.

    Args:
        compiles: Whether it starts compilers: programs may then be started, all under the same filter.
        gpus: Whether it has a GPU and a network of its own: then it may let a socket listen that no other network can
            reach, connect none and accept nobody.

    Raises:
        OSError: The kernel has no filters, or the processor is not one that the list is known for.
    """
    instructions = program(platform.machine(), os.getpid(), compiles=compiles, gpus=gpus)
    filled = _Program(len(instructions) // 8, instructions)
    kernel.prctl(kernel.PR_SET_SECCOMP, _FILTER, ctypes.byref(filled))


def program(machine: str, pid: int, *, compiles: bool = False, gpus: bool = False) -> bytes:
    """The filter, in the kernel's packet-filter language.

    Args:
        machine: Processor, as `platform.machine` names it.
        pid: The process it is for, as that process sees itself; it may signal its own threads.
        compiles: Whether it may start programs.
        gpus: Whether it may do what a GPU's driver does.

    Raises:
        OSError: The list is not known for this processor.
    """
    if machine not in _ARCHITECTURES:
        raise OSError(f"no system call filter for processor {machine!r}")
    column, architecture = _ARCHITECTURES[machine]
    refuse = _step(_RETURN, _ERRNO | errno.EPERM)
    lines = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _LAST_REVIEWED + 1, 0, 1),
        _step(_RETURN, _ERRNO | errno.ENOSYS),
        _step(_EQUAL, _CLONE3[column], 0, 1),
        _step(_RETURN, _ERRNO | errno.ENOSYS),  # the C library then asks with clone, whose flags can be read here
    ]
    if gpus:  # sockets of the machine's own, in sequenced packets: no address reaches beyond this network
        kind = [_step(_LOAD, _SECOND_ARGUMENT), _step(_AND, _SOCKET_KIND), _step(_EQUAL, _SEQUENCED, 1, 0), refuse]
        lines += _on_argument(_SOCKET[column], [_step(_EQUAL, _UNIX, 1, 0), refuse, *kind])
    allowed = (*(_TO_COMPILE if compiles else ()), *(_FOR_GPUS if gpus else ()))
    for name, numbers in DENIED.items():
        number = numbers[column]
        if number is not None and name not in allowed:
            lines += [_step(_EQUAL, number, 0, 1), refuse]
    if compiles:  # no namespaces, whatever else is started
        lines += _on_argument(_CLONE[column], [_step(_ANY_BIT, _NAMESPACES, 0, 1), refuse])
    else:
        lines += _on_argument(_CLONE[column], [_step(_ANY_BIT, _CLONE_THREAD, 1, 0), refuse])
    lines += _on_argument(_TGKILL[column], [_step(_EQUAL, pid, 1, 0), refuse])
    lines += _on_argument(_PRLIMIT[column], [_step(_EQUAL, 0, 1, 0), refuse])
    checks = [step for option in _OWN_ATTRIBUTES for step in (_step(_EQUAL, option, 0, 1), refuse)]
    lines += _on_argument(_PRCTL[column], checks)
    return b"".join([*lines, _step(_RETURN, _ALLOW)])


def _on_argument(number: int, checks: list[bytes]) -> list[bytes]:
    """For one call: `checks` on its first argument's lower half; allowed if none returned."""
    body = [_step(_LOAD, _FIRST_ARGUMENT), *checks, _step(_RETURN, _ALLOW)]
    return [_step(_EQUAL, number, 0, len(body)), *body]


def _step(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, value)
