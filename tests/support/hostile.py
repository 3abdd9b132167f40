"""What hostile code tries from inside a run. Each returns what it got; a refusal comes back as the name of its error.

They run in the place of training, in the real sandbox: `PROGRAM` is what the fork server's process runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from datasites.runs.processes.runner import Result, RunInputs, RunPictures
    from datasites.training.process_group.shared_memory_group import SharedMemoryGroup

PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[1])!r})
from functools import partial
from support.hostile import attack
from datasites.runs.processes.fork_server import main
main(lambda inputs: partial(attack, inputs))
"""
# The same with no more imported than attacks need, which takes half of the time.
LIGHT_PROGRAM = PROGRAM.replace(
    "main(lambda",
    "import encodings.ascii, safetensors.numpy, torch\nfrom datasites.training.pictures import data\n"
    "from datasites.training.process_group import shared_memory_group\n"
    "from datasites.runs.processes import runner\nrunner.import_training = lambda: None\nmain(lambda",
)
CANARY = "c4n4ry-of-one-patient"
ROOM = 1 << 16  # letters of a worker's answer; the weights' file is made long enough for as many numbers
Told = dict[str, Any]


def attack(inputs: RunInputs, pictures: RunPictures) -> Result:
    """Does what the plan's text names; the weights say with what. Where the run has a worker, that one does it."""
    if inputs.process_group is None:
        return (_answer(inputs, pictures),)
    return (_told_by_the_worker(inputs, pictures, inputs.process_group),)


def _answer(inputs: RunInputs, pictures: RunPictures) -> bytes:
    told = {**json.loads(bytes(inputs.weights)), "pictures": pictures}
    try:
        got = ATTACKS[inputs.plan](inputs, told)
    except OSError as error:
        return json.dumps({"refused": errno.errorcode.get(error.errno or 0, str(error))}).encode()
    return json.dumps({"got": got}).encode()


def _told_by_the_worker(inputs: RunInputs, pictures: RunPictures, process_group: SharedMemoryGroup) -> bytes:
    """The worker's answer, which comes as the sum over both: one number for each letter."""
    import torch  # has been imported where runs are forked from; who only starts them does without

    answer = b"" if process_group.is_first else _answer(inputs, pictures)
    letters = np.frombuffer(answer.ljust(ROOM, b"\0"), dtype=np.uint8).astype(np.float32)
    (total,) = process_group.reduce([torch.from_numpy(letters)])
    return total.numpy().astype(np.uint8).tobytes().rstrip(b"\0")


def use_what_is_given(inputs: RunInputs, told: Told) -> Any:
    inputs.progress(0.5)
    store = told["pictures"].store
    return [int(store.images[0].sum() > 0), len(store.labels)]


def read(inputs: RunInputs, told: Told) -> Any:
    return {path: _try(lambda path=path: Path(path).read_bytes().hex()[:8]) for path in told["paths"]}


def list_folders(inputs: RunInputs, told: Told) -> Any:
    return {path: _try(lambda path=path: os.listdir(path)) for path in told["folders"]}


def change(inputs: RunInputs, told: Told) -> Any:
    """Write, make, move, link and change the rights of files."""
    file, folder = told["file"], told["folder"]
    tries: dict[str, Callable[[], Any]] = {
        "write": lambda: Path(file).write_bytes(b"x"),
        "truncate": lambda: os.truncate(file, 0),
        "chmod": lambda: os.chmod(file, 0o777),
        "chmod folder": lambda: os.chmod(folder, 0o777),
        "utime": lambda: os.utime(file),
        "chown": lambda: os.chown(file, os.getuid(), os.getgid()),
        "remove": lambda: os.remove(file),
        "rename": lambda: os.rename(file, file + ".x"),
        "link": lambda: os.link(file, file + ".x"),
        "symlink": lambda: os.symlink(file, folder + "/link"),
        "make": lambda: Path(folder, "new").write_bytes(b"x"),
        "mkdir": lambda: os.mkdir(folder + "/new"),
        "mkfifo": lambda: os.mkfifo(folder + "/fifo"),
        "make in tmp": lambda: Path("/tmp/escaped-from-a-run").write_bytes(b"x"),
        "make in shm": lambda: Path("/dev/shm/escaped-from-a-run").write_bytes(b"x"),
    }
    return {name: _try(call) for name, call in tries.items()}


def reach_out(inputs: RunInputs, told: Told) -> Any:
    def tcp() -> Any:
        with socket.socket() as sock:
            sock.connect(("127.0.0.1", told["port"]))
            return "connected"

    def unix(address: str) -> Any:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(address)
            return "connected"

    def udp() -> Any:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            return sock.sendto(b"x", ("127.0.0.1", told["port"]))

    return {
        "tcp": _try(tcp),
        "udp": _try(udp),
        "abstract": _try(lambda: unix("\0" + told["abstract"])),
        "unix": _try(lambda: unix(told["unix"])),
        "pair": _try(socket.socketpair),
    }


def touch_processes(inputs: RunInputs, told: Told) -> Any:
    libc = ctypes.CDLL(None, use_errno=True)

    def ptrace(pid: int) -> Any:
        return _raised(libc.ptrace(16, pid, 0, 0))

    found = {}
    for name, pid in told["pids"].items():
        found[f"kill {name}"] = _try(lambda pid=pid: os.kill(pid, signal.SIGKILL))
        found[f"stop {name}"] = _try(lambda pid=pid: os.kill(pid, 0))
        found[f"ptrace {name}"] = _try(lambda pid=pid: ptrace(pid))
        found[f"memory of {name}"] = _try(lambda pid=pid: os.open(f"/proc/{pid}/mem", os.O_RDONLY))
        found[f"environment of {name}"] = _try(lambda pid=pid: Path(f"/proc/{pid}/environ").read_bytes())
    found["kill all"] = _try(lambda: os.kill(-1, signal.SIGKILL))
    return found


def start_processes(inputs: RunInputs, told: Told) -> Any:
    return {
        "fork": _try(os.fork),
        "execute": _try(lambda: subprocess.run(["/bin/true"], check=True).returncode),
        "spawn": _try(lambda: os.posix_spawn("/bin/true", ["true"], {})),
        "replace itself": _try(lambda: os.execv("/bin/true", ["true"])),
    }


def fork_without_end(inputs: RunInputs, told: Told) -> Any:
    while True:
        os.fork()


def start_threads_without_end(inputs: RunInputs, told: Told) -> Any:
    started, stop = 0, threading.Event()
    with contextlib.suppress(RuntimeError):
        while True:
            threading.Thread(target=stop.wait, daemon=True).start()
            started += 1
    return started


def become_a_daemon(inputs: RunInputs, told: Told) -> Any:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            threading.Event().wait()
        os._exit(0)
    return "survives"


def undo_the_sandbox(inputs: RunInputs, told: Told) -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    return {
        "outlive the parent": _try(lambda: _raised(libc.prctl(1, 0, 0, 0, 0))),
        "be debugged": _try(lambda: _raised(libc.prctl(4, 1, 0, 0, 0))),
        "become root": _try(lambda: os.setuid(0)) if os.getuid() else "is root",
        "namespace": _try(lambda: _raised(libc.unshare(0x1000_0000))),
        "mount": _try(lambda: _raised(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))),
        "chroot": _try(lambda: os.chroot("/")),
        "memory beyond the limits": _try(lambda: os.memfd_create("x")),
        "ring of calls": _try(lambda: _raised(libc.syscall(425, 8, None))),
        "newer call": _try(lambda: _raised(libc.syscall(452, -100, b"/", 0o700, 0))),
        "raise limits": _try(lambda: _raise_limits()),
    }


def look_around(inputs: RunInputs, told: Told) -> Any:
    """Its environment and its open files."""
    files = {}
    for descriptor in range(512):
        with contextlib.suppress(OSError):
            files[descriptor] = oct(os.fstat(descriptor).st_mode >> 12)
    writable = [fd for fd in files if _is_writable(fd)]
    return {
        "environment": dict(os.environ),
        "files": files,
        "writable": writable,
        "uid": os.getuid(),
        "pid": os.getpid(),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
    }


def fill_memory(inputs: RunInputs, told: Told) -> Any:
    kept = []
    while True:
        kept.append(bytearray(1 << 24))


def fill_shared_memory(inputs: RunInputs, told: Told) -> Any:
    kept = []
    while True:
        kept.append(mmap.mmap(-1, 1 << 24))
        kept[-1].write(b"x" * (1 << 24))


def fill_the_disk(inputs: RunInputs, told: Told) -> Any:
    """Through whatever is open."""
    chunk = b"\0" * (1 << 20)
    for descriptor in range(3, 512):
        with contextlib.suppress(OSError):
            os.lseek(descriptor, 0, os.SEEK_SET)
            while True:
                os.write(descriptor, chunk)
    return "written"


def spin(inputs: RunInputs, told: Told) -> Any:
    while True:
        pass


def sleep(inputs: RunInputs, told: Told) -> Any:
    inputs.progress(0.1)
    threading.Event().wait()


def print_data(inputs: RunInputs, told: Told) -> Any:
    print(CANARY, flush=True)
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            os.write(descriptor, CANARY.encode() + b"\n")
    return "printed"


def raise_data(inputs: RunInputs, told: Told) -> Any:
    raise ValueError(CANARY)


def say_data(inputs: RunInputs, told: Told) -> Any:
    """To the datasite, where progress is told."""
    for line in (CANARY, "nan", "1e999", "-5", "missing", "x" * 100_000):
        for descriptor in range(3, 16):
            with contextlib.suppress(OSError):
                os.write(descriptor, line.encode() + b"\n")
    return "said"


def pretend_to_be_done(inputs: RunInputs, told: Told) -> Any:
    for descriptor in range(3, 16):
        with contextlib.suppress(OSError):
            os.write(descriptor, b"done\n")
    threading.Event().wait()


ATTACKS: dict[str, Callable[[RunInputs, Told], Any]] = {
    function.__name__: function
    for function in (
        use_what_is_given, read, list_folders, change, reach_out, touch_processes, start_processes, fork_without_end,
        start_threads_without_end, become_a_daemon, undo_the_sandbox, look_around, fill_memory, fill_shared_memory,
        fill_the_disk, spin, sleep, print_data, raise_data, say_data, pretend_to_be_done,
    )
}  # fmt: skip


def _try(call: Callable[[], Any]) -> str:
    """`got ...`, or the name of the refusal."""
    try:
        return f"got {call()!r}"[:200]
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, repr(error))


def _raised(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def _raise_limits() -> None:
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except ValueError as error:
        raise PermissionError(errno.EPERM, str(error)) from error


def _is_writable(descriptor: int) -> bool:
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
