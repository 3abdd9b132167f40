"""A run with a GPU may do besides what the driver needs to start, and reaches nobody by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.hospitals import ENVIRONMENT
from support.told_calls import TOLD

from datasites.runs import gpus as found_gpus
from datasites.runs.gpus import Gpu, find_gpus, pci_folders
from datasites.runs.sandbox import gpu_rules, namespaces
from datasites.runs.sandbox.confinement import OPTIONAL, sandbox_report

LACKING = [piece.piece for piece in sandbox_report() if piece.required and not piece.present]
closes_in = pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {', '.join(LACKING)}")

PROGRAM = (
    TOLD
    + """
import ctypes, json, os, socket, sys, tempfile, threading
from pathlib import Path
from datasites.runs.gpus import Gpu
from datasites.runs.sandbox import namespaces
from datasites.runs.sandbox.confinement import Confinement, draw_uid, enter
from datasites.runs.sandbox.limits import RunLimits

missing = namespaces.separate([kind for kind in namespaces.KINDS if kind not in sys.argv[2:]])
missing |= dict.fromkeys(sys.argv[2:], "left out by the test")
if os.fork():
    os.wait()
    os._exit(0)
given = tempfile.NamedTemporaryFile()
os.chmod(given.name, 0o666)
picture = os.open(given.name, os.O_RDONLY)  # as a run holds its pictures' files
limits = RunLimits(1 << 32, 60, 60, 64, 1 << 20)
gpus = (Gpu(0, "GPU-0"),)[: int(sys.argv[1])]
failed = enter(Confinement(limits, False, Path("/nonexistent"), draw_uid(), gpus), missing)

def made(kind=socket.SOCK_SEQPACKET, family=socket.AF_UNIX):
    return socket.socket(family, kind)

def listening(name):
    one = made()
    one.bind(chr(0) + name)
    one.listen(1)
    one.setblocking(False)
    return one

def opens(path, flags=os.O_RDONLY):
    return lambda: os.close(os.open(path, flags))

def accepted_the_old_way():
    if ctypes.CDLL(None, use_errno=True).accept(listening("old").fileno(), None, None) < 0:
        raise OSError(ctypes.get_errno(), "accept")

def executed():
    program = os.memfd_create("x")
    os.write(program, b"#!/bin/sh")
    os.execve(program, ["x"], {})

own = f"/proc/self/task/{threading.get_native_id()}"
tries = {
    "a socket that listens": lambda: listening("here"),
    "memory of a file": lambda: os.close(os.memfd_create("x")),
    "the name of a thread": opens(own + "/comm", os.O_RDWR),
    "its own memory's places": opens("/proc/self/maps"),
    "a stream": lambda: made(socket.SOCK_STREAM),
    "a datagram": lambda: made(socket.SOCK_DGRAM),
    "a pair": socket.socketpair,
    "the network": lambda: made(socket.SOCK_SEQPACKET, socket.AF_INET),
    "the kernel's own sockets": lambda: made(socket.SOCK_RAW, socket.AF_NETLINK),
    "connecting": lambda: made().connect(chr(0) + "here"),
    "taking who connects": lambda: listening("there").accept(),
    "likewise, by the older call": accepted_the_old_way,
    "a socket that is a file": lambda: made().bind("wanwu-socket"),
    "being spared": opens(own + "/oom_score_adj", os.O_WRONLY),
    "its memory as a file": opens(own + "/mem", os.O_RDWR),
    "its environment as a file": opens(own + "/environ"),
    "its threads": lambda: os.listdir("/proc/self/task"),
    "processes": lambda: os.listdir("/proc"),
    "its root": opens("/proc/self/" + "root/etc/passwd"),
    "a thread's root": opens(own + "/" + "root/etc/passwd"),
    "a file that it reads, to write": opens(f"{own}/fd/{picture}", os.O_RDWR),
    "likewise, by its first thread": opens(f"/proc/self/fd/{picture}", os.O_WRONLY),
    "the same, cut": lambda: os.truncate(f"{own}/fd/{picture}", 0),
    "the same, with another name": lambda: os.link(f"{own}/fd/{picture}", given.name + "-x", follow_symlinks=True),
    "a program in memory": executed,
    "its open files": lambda: os.listdir(own + "/fd"),
    "the machine's settings": opens("/proc/sys/kernel/hostname"),
    "the devices' folder": lambda: os.listdir("/dev"),
    "another GPU": opens("/dev/nvidia1", os.O_RDWR),
    "shared memory": opens("/dev/shm/wanwu-x", os.O_RDWR | os.O_CREAT),
    "the first process": opens("/proc/1/environ"),
    "mounts": opens("/proc/self/mountinfo"),
    "accounts": opens("/etc/passwd"),
    "mounting": namespaces.list_own_processes,
}

print(json.dumps({"failed": failed, "tries": {name: told(call) for name, call in tries.items()}}), flush=True)
os._exit(0)
"""
)
BY_THE_FILTER = (
    *("a stream", "a datagram", "a pair", "the network", "the kernel's own sockets", "connecting"),
    *("taking who connects", "likewise, by the older call", "a program in memory", "mounting"),
)
OWN = {"the name of a thread", "its own memory's places"}
OF_THE_DRIVER = {"a socket that listens", "memory of a file"}


def let(gpus: int, *left_out: str) -> set[str]:
    """What a process may do that is closed in with so many GPUs, on this machine's kernel."""
    given = [sys.executable, "-c", PROGRAM, str(gpus), *left_out]
    done = subprocess.run(given, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["failed"]) <= OPTIONAL | set(left_out), found["failed"]
    # Not as it would be with nobody there to connect to, or nobody who comes.
    assert {name: found["tries"][name] for name in BY_THE_FILTER} == dict.fromkeys(BY_THE_FILTER, "EPERM")
    return {name for name, came in found["tries"].items() if came == "done"}


@closes_in
def test_a_run_with_a_gpu_lets_a_socket_listen_and_names_its_threads_and_no_more() -> None:
    assert let(1) == OWN | OF_THE_DRIVER
    assert let(0) == set()


@closes_in
def test_without_a_network_of_its_own_it_makes_no_socket() -> None:
    assert let(1, "network namespace") == OWN


@closes_in
def test_without_a_process_namespace_its_threads_have_the_machines_numbers_and_can_be_named() -> None:
    assert let(1, "process namespace") == OWN | OF_THE_DRIVER


WITHOUT_A_LIST = """
import os
from pathlib import Path
from datasites.runs.gpus import Gpu
from datasites.runs.sandbox import namespaces
from datasites.runs.sandbox.confinement import OWN_LIST, Confinement, draw_uid, enter
from datasites.runs.sandbox.limits import RunLimits

def refused():
    raise OSError("the kernel refused")

namespaces.list_own_processes = refused
missing = namespaces.separate()
if child := os.fork():
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
limits = RunLimits(1 << 32, 60, 60, 64, 1 << 20)
failed = enter(Confinement(limits, True, Path("/nonexistent"), draw_uid(), (Gpu(0, "GPU-0"),)), missing)
os._exit(17 if failed[OWN_LIST] == "the kernel refused" else 1)
"""


@closes_in
def test_where_the_kernel_gives_no_list_of_its_own_a_run_goes_on_as_closed_in_as_others() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_A_LIST], env=ENVIRONMENT, check=False)
    assert done.returncode == 17


def test_files_of_the_driver_are_those_of_runs_with_a_gpu_alone() -> None:
    assert gpu_rules.readable(()) == gpu_rules.named(()) == []
    assert gpu_rules.devices(()) == [Path("/dev/null")]
    assert Path("/proc/modules") in gpu_rules.readable((Gpu(0, "GPU-0"),))
    shared = ["/dev/null", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"]
    assert list(map(str, gpu_rules.devices((Gpu(3, "GPU-3"),)))) == [*shared, "/dev/nvidia3"]  # and no other's
    assert not any(str(path).startswith("/dev/shm") for path in gpu_rules.opened((Gpu(0, "GPU-0"),)))


def listed(driver: Path, bus: str, minor: int, uuid: str) -> Path:
    file = driver / bus / "information"
    file.parent.mkdir(parents=True)
    file.write_text(f"Model: \t\t NVIDIA H200\nGPU UUID: \t {uuid}\nDevice Minor: \t {minor}\n")
    return file


def test_a_gpu_that_the_driver_has_not_woken_yet_is_woken_to_tell_its_identifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a hospital whose driver does not stay awake has no GPU, until somebody looks at it."""
    asleep = "GPU-????????-????-????-????-????????????"
    file = listed(tmp_path, "0000:65:00.0", 0, asleep)
    listed(tmp_path, "0000:66:00.0", 1, "GPU-11111111-2222-3333-4444-555555555555")
    opened: list[str] = []

    def wake(path: str, flags: int) -> int:
        opened.append(path)
        file.write_text(file.read_text().replace(asleep, "GPU-aaaaaaaa-2222-3333-4444-555555555555"))
        return os.dup(2)

    monkeypatch.setattr(found_gpus.os, "open", wake)
    first, second = find_gpus(tmp_path)
    assert (first.minor, first.uuid[:12], second.minor) == (0, "GPU-aaaaaaaa", 1)
    assert opened == ["/dev/nvidia0"], "one that is awake is left alone"


def test_a_gpu_that_does_not_wake_is_not_there(tmp_path: Path) -> None:
    listed(tmp_path, "0000:65:00.0", 4095, "GPU-????????-????-????-????-????????????")
    assert find_gpus(tmp_path) == ()


def test_a_run_is_shown_its_own_gpu_on_the_bus_and_no_other(tmp_path: Path) -> None:
    listed(tmp_path / "driver", "0000:65:00.0", 0, "GPU-a")
    listed(tmp_path / "driver", "0000:66:00.0", 1, "GPU-b")
    (tmp_path / "pci0000" / "0000:66:00.0").mkdir(parents=True)
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "0000:66:00.0").symlink_to("../pci0000/0000:66:00.0")
    found = pci_folders((Gpu(1, "GPU-b"),), driver=tmp_path / "driver", devices=tmp_path / "devices")
    assert found == (tmp_path / "pci0000" / "0000:66:00.0",)


def test_kinds_of_namespaces_are_made_one_by_one() -> None:
    assert namespaces.separate(()) == {}
