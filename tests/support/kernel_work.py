"""What the fork server of tests of compiled kernels does in the place of a GPU's work: it compiles for a GPU elsewhere.

Triton makes a kernel for a GPU that the machine does not have, as a whole: so the compiler, its programs, the files and
the rules that it is closed in by are real. What launches kernels is C, built by the machine's compiler, as Triton does.
The study's name says what is done besides.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime import build

from datasites.runs.processes.runner import Result, RunInputs, RunPictures, Work
from datasites.training.gpu import noise
from datasites.training.gpu.requirements import KernelMissing
from policies.plans.kinds import parse
from policies.plans.training import TrainingPlan

PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[1])!r})
from support import kernel_work
from datasites.training import compiling
from datasites.runs.processes.fork_server import main
compiling.compile_kernels = kernel_work.compile_for
main(kernel_work.prepare)
"""
TARGET = GPUTarget("cuda", 90, 32)
ANSWER = 42
_HERE = Path("/proc/self/cwd")
_POINTERS = {"out": "*i32", "key": "*i32", "first": "i32", "blocks": "constexpr"}
_LAUNCHER = f"""
#include <Python.h>
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "launcher"}};
PyMODINIT_FUNC PyInit_launcher(void) {{
  PyObject *made = PyModule_Create(&module);
  PyModule_AddIntConstant(made, "answer", {ANSWER});
  return made;
}}
"""


def kernel(blocks: int = 128) -> int:
    """Bytes of the kernel of the keystream, for the GPU elsewhere: from where it lies, or compiled."""
    made = triton.compile(ASTSource(noise._keystream, _POINTERS, constexprs={"blocks": blocks}), target=TARGET)
    return len(made.kernel)


def launcher() -> int:
    """What a module in C answers, from where it lies, or built by the machine's compiler: as Triton's own driver is."""
    source = _HERE / "work" / "launcher.c"
    if source.parent.is_dir():
        source.write_text(_LAUNCHER)
    nowhere: dict[str, Any] = dict.fromkeys(("library_dirs", "include_dirs", "libraries", "ccflags"))
    made = build._compile_so(_LAUNCHER.encode(), str(source), "launcher", **nowhere, load_module=True, language="c")
    return int(made.answer)


def compile_for(plan: TrainingPlan) -> None:
    """In the place of `compile_kernels`, in the process that compiles."""
    kernel()
    launcher()
    doings: dict[str, Callable[[], object]] = {
        "attacks": attack,
        "fails": fail,
        "never-ends": lambda: time.sleep(3600),
        "writes-without-end": write,
        "makes-a-folder": (_HERE / "files" / "folder").mkdir,
        "makes-a-link": lambda: (_HERE / "files" / "link").symlink_to("/etc/passwd"),
    }
    doings.get(plan.study, lambda: None)()


def prepare(inputs: RunInputs) -> Work:
    """A run whose result says what came of its looking for kernels."""
    found = {"kernel": _found(kernel), "other": _found(lambda: kernel(64)), "launcher": _found(launcher)}
    tried = _try_to_write() if parse(inputs.plan).study == "attacks" else {}

    def work(pictures: RunPictures) -> Result:
        return (json.dumps({**found, **tried}).encode(),)

    return work


def _found(look: Callable[[], int]) -> int | str:
    try:
        return look()
    except (KernelMissing, OSError):  # the second where Triton asks a program before it looks for a kernel
        return "missing"


def told(call: Callable[[], object]) -> str:
    """`done`, or the name of the error's number."""
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def child(*program: str) -> str:
    """`done`, or what a program that was started says of its failure."""
    try:
        ended = subprocess.run(program, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done" if ended.returncode == 0 else ended.stderr.strip().rpartition(": ")[2]


def _try_to_write() -> dict[str, Any]:
    """What came of a run's trying to change its kernels."""
    one = min(_HERE.iterdir())
    return {
        "change": told(lambda: one.write_bytes(b"x")),
        "add": told((_HERE / "new").touch),
        "remove": told(one.unlink),
        "open": told(lambda: one.chmod(0o777)),
        "start": child("/bin/true"),
    }


def attack() -> None:
    """What came of a compiler's reaching for what is not its own: told in the folder, as one of its files."""
    state = Path(os.readlink(_HERE)).parents[1]
    outcome = {
        "ledger": told((state / "ledger.sqlite").read_bytes),
        "pictures": told((state / "store" / "images.npy").read_bytes),
        "list": told(lambda: sorted(state.iterdir())),
        "write beside": told((_HERE / ".." / "beside").touch),
        "write elsewhere": told(Path("/var/tmp/of-a-compiler").touch),
        "passwd": told(Path("/etc/passwd").read_bytes),
        "socket": told(socket.socket),
        "namespace": child("/usr/bin/unshare", "--user", "/bin/true"),
        "child reads": child("/bin/cat", "/etc/passwd"),
        "child lists": child("/bin/ls", str(state)),
        "child writes": child("/bin/touch", "/var/tmp/of-a-compilers-child"),
        "child signals": child("/bin/sh", "-c", f"kill -0 {os.getppid() or 1}"),
        "own": told(lambda: (_HERE / "work" / "own").write_text("x")),
        "child's own": child("/bin/sh", "-c", f"echo x > {_HERE}/work/child"),
    }
    (_HERE / "files" / "outcome.json").write_text(json.dumps(outcome))


def fail() -> None:
    raise RuntimeError("the C compiler does not build launcher: no headers")


def write() -> None:
    number = 0
    while True:
        (_HERE / "files" / f"f{number}").write_bytes(bytes(1 << 20))
        number += 1
