"""Rights of a process that compiles kernels before a run, beside those of a run: compilers, and one folder to write.

It has no picture, and what it makes is read by runs of the same kind alone. What it starts is closed in as it is.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path

from datasites.runs.gpus import Gpu

# Where a process stands that has a folder of kernels: its account may not walk there through the folders above.
HERE, NOWHERE = Path("/proc/self/cwd"), Path("/nonexistent")
_COMPILERS = ("cc", "gcc", "clang", "as", "ld")
# Programs, what they are made of (the loader is one of them), and what they start themselves.
_PROGRAMS = ("/bin", "/lib", "/lib64", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/include")
_TOLD = ("PATH", "CC", "LD_LIBRARY_PATH")


def rules() -> dict[str, list[Path]]:
    """The file rules of a process that compiles, beside those of any run."""
    found = {Path(at).resolve().parent for name in _COMPILERS if (at := shutil.which(name))}
    triton = importlib.util.find_spec("triton")
    places = (triton.submodule_search_locations if triton else None) or ()
    assemblers = {Path(place) / "backends" / "nvidia" / "bin" for place in places}
    return {"programs": sorted(set(map(Path, _PROGRAMS)) | found | assemblers), "writable": [HERE]}


def copy_headers(folder: Path) -> None:
    """Copies Python's headers to where an account can read them that may not read the interpreter's own.

    Args:
        folder: To be made.
    """
    for scheme in dict.fromkeys(("posix_prefix", sysconfig.get_default_scheme())):
        headers = Path(sysconfig.get_paths(scheme)["include"])
        if headers.is_dir():
            shutil.copytree(headers, folder, dirs_exist_ok=True)


def forget_environment(gpus: tuple[Gpu, ...], *, compiles: bool) -> None:
    """Leaves this process no variables but the number of threads, its GPUs, and where a compiler is if it needs one."""
    told = _TOLD if compiles else ()
    kept = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS") or name in told}
    os.environ.clear()
    os.environ.update(kept, CUDA_VISIBLE_DEVICES=",".join(gpu.uuid for gpu in gpus), HOME=str(NOWHERE), LANG="C.UTF-8")
