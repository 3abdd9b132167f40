"""Stands in for NVIDIA's libraries in an image without a GPU: libraries of their names, whose every function fails.

PyTorch's wheel of the registry is linked against 3 GB of NVIDIA's libraries, and cannot be imported without them,
though nothing on a processor calls one. These stand in their place: each function that the wheel names returns 1, which
every one of these libraries understands as an error. They are made from the wheel's own tables, by readelf and gcc.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

# CUDA's runtime is there, and the driver's library is asked for only where there is a driver.
_STAYS = re.compile(r"lib(cudart|cuda)\.so\.\d+")
_NVIDIAS = re.compile(r"lib(cu|nv|nccl)\w*\.so\.\d+")
_FUNCTION = re.compile(r"(cu|nccl|nvrtc|nvshmem)\w+")


def stand_in(wheel: Path, out: Path) -> list[str]:
    """Writes a library for each of NVIDIA's that the wheel's are linked against, and returns their names.

    Args:
        wheel: PyTorch's.
        out: Folder for the libraries; it is made.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        own = [name for name in zipfile.ZipFile(wheel).namelist() if re.fullmatch(r"torch/lib/[^/]+\.so", name)]
        zipfile.ZipFile(wheel).extractall(folder, own)
        tables = [_tables(Path(folder) / name) for name in own]
        names, functions = _wanted(tables)
        for name in names:
            _make(name, functions.get(name, {}), functions[""] if name == names[0] else {}, out, Path(folder))
    return names


def _tables(library: Path) -> str:
    command = ["readelf", "--wide", "--dynamic", "--version-info", "--dyn-syms", str(library)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _wanted(tables: list[str]) -> tuple[list[str], dict[str, dict[str, set[str]]]]:
    """Names of libraries, and name → version → functions; those without a version, whose library is open, under ''."""
    text = "\n".join(tables)
    names = {name for name in re.findall(r"\(NEEDED\).*\[(.*)\]", text) if _NVIDIAS.fullmatch(name)}
    names = {name for name in names if not _STAYS.fullmatch(name)}
    library_of, library = {}, ""
    for line in text.splitlines():
        if found := re.search(r"File: (\S+)", line):
            library = found[1]
        elif found := re.search(r"Name: (\S+)  Flags", line):
            library_of[found[1]] = library
    functions: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for function, version in re.findall(r" UND (\w+)(?:@(\S+))?", text):
        if not version and _FUNCTION.fullmatch(function):
            functions[""][""].add(function)
        elif library_of.get(version) in names:
            functions[library_of[version]][version].add(function)
    return sorted(names), functions


def _make(name: str, versions: dict[str, set[str]], more: dict[str, set[str]], out: Path, folder: Path) -> None:
    source, script = folder / "functions.c", folder / "versions.map"
    every = sorted(set().union(*versions.values(), *more.values()))
    source.write_text("".join(f"int {function}(void) {{ return 1; }}\n" for function in every) or "int none;\n")
    lines = [
        f"{version} {{ global: {' '.join(f'{one};' for one in sorted(of))} }};\n" for version, of in versions.items()
    ]
    script.write_text("".join(lines))
    command = ["gcc", "-shared", "-fPIC", "-nostdlib", "-O1", "-w", "-Wl,--build-id=none", f"-Wl,-soname,{name}"]
    command += [f"-Wl,--version-script,{script}"] if lines else []
    subprocess.run([*command, "-o", str(out / name), str(source)], check=True)
