"""Compiled kernels in a folder: one process writes them and does nothing else; runs read them and compile nothing.

A run that is closed in starts no program and writes no file, which Triton needs for whatever it has not compiled yet.
So it is told where kernels lie, and that what does not lie there is missing: no work is begun that could not be ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia import compiler, driver
from triton.runtime import build
from triton.runtime.cache import CacheManager, triton_key

from datasites.training.gpu.requirements import KernelMissing


class _Folder(CacheManager):
    """Files of one of Triton's keys, all keys' in one folder.

    Triton makes one of these for each key, and asks it for single files and for groups of them that belong together.
    """

    folder: ClassVar[Path]
    writes: ClassVar[bool]

    def __init__(self, key: str, override: bool = False, dump: bool = False) -> None:
        self._key = key

    def get_file(self, filename: str) -> str | None:
        path = self._path(filename)
        if path.is_file():
            return str(path)
        self._is_missing(filename)
        return None

    def get_group(self, filename: str) -> dict[str, str] | None:
        try:
            names = json.loads(self._path(_of_group(filename)).read_text())
            found = {str(name): self._path(str(name)) for name in names}
        except (OSError, ValueError, TypeError):
            found = {}
        if found and all(path.is_file() for path in found.values()):
            return {name: str(path) for name, path in found.items()}
        self._is_missing(filename)
        return None

    def put(self, data: object, filename: str, binary: bool = True) -> str:
        self._is_missing(filename)
        path = self._path(filename)
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix="part-", delete=False) as file:
            file.write(data if isinstance(data, bytes) else str(data).encode())
        Path(file.name).replace(path)
        return str(path)

    def put_group(self, filename: str, group: dict[str, str]) -> None:
        self.put(json.dumps(sorted(group)), _of_group(filename))

    def _path(self, filename: str) -> Path:
        return self.folder / f"{self._key}-{filename}"

    def _is_missing(self, filename: str) -> None:
        if not self.writes:
            raise KernelMissing(f"{filename} was not compiled before this process was closed in.")


def _of_group(filename: str) -> str:
    return f"group-{filename}"


def keep_kernels_in(folder: Path, *, writes: bool) -> None:
    """From here on, this process takes its kernels from a folder, and puts none anywhere else.

    Guarantees:
        Without `writes`, nothing is compiled, no program started and no file made for a kernel: one that is not there
        raises `KernelMissing` where it is launched.

    Args:
        folder: Of the kernels, flat.
        writes: Whether what is missing is compiled, and put there.
    """
    _Folder.folder, _Folder.writes = folder, writes
    triton.knobs.cache.manager_class = _Folder
    triton.knobs.compilation.store_binary_only = True  # of a kernel's stages, what is loaded


def find_headers_in(folder: Path) -> None:
    """From here on, what is built in C in this process finds Python's headers there; what fails says why.

    Args:
        folder: A copy of them that the process's account may read.
    """
    triton.knobs.build.impl = partial(_build, folder)


def _build(
    headers: Path,
    name: str,
    source: str,
    folder: str,
    library_dirs: list[str],
    include_dirs: list[str],
    libraries: list[str],
) -> str:
    """Builds a module in C, as Triton does with the interpreter's own headers; returns where it lies."""
    made = str(Path(folder, f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"))
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang") or "cc"
    asked = [compiler, source, "-O3", "-shared", "-fPIC", "-Wno-psabi", "-o", made]
    asked += [f"-l:{library}" if ".so" in library else f"-l{library}" for library in libraries]
    asked += [f"-L{place}" for place in library_dirs] + [f"-I{place}" for place in (*include_dirs, folder, headers)]
    done = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the C compiler does not build {name}: {done.stderr.strip().partition(chr(10))[0]}")
    return made


def compiles_none() -> bool:
    """Whether this process was told to take all its kernels from a folder."""
    return triton.knobs.cache.manager_class is _Folder and not _Folder.writes


def ask_what_kernels_hang_on(folder: Path | None = None) -> None:
    """Asks other programs and files for all that a kernel's name is made of, so that a closed-in process knows it.

    Triton keeps each answer for as long as the process lives, and whatever is forked from it. What cannot be told here
    is asked for where a kernel is, and is then missing.

    Args:
        folder: Of the kernels that the process will take: the program that assembled them is asked too.
    """
    asked: list[Callable[[], object]] = [triton_key, build.platform_key, driver.library_dirs]
    for arch in set() if folder is None else _architectures(folder):
        asked.append(partial(compiler.get_ptxas_version, arch))
        asked.append(partial(_options_hash, arch))
    for ask in asked:
        with contextlib.suppress(Exception):
            ask()


def _options_hash(arch: int) -> str:
    return str(compiler.CUDABackend(GPUTarget("cuda", arch, 32)).parse_options({}).hash())


def _architectures(folder: Path) -> set[int]:
    """Of the GPUs that a folder's kernels are for, tenths of a capability."""
    found = set()
    for file in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            found.add(int(json.loads(file.read_text())["target"]["arch"]))
    return found
