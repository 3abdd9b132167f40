"""`make lock`, its last part: the locks of the images, each package by the digest of the one file that is installed.

    python -m images.locks RUNTIME SERVING

Both arguments are files of pinned names, as `uv pip compile` writes them. pip is asked which file it would take for
each on this machine, so the locks are those of this machine's processor. The digests are the registry's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

LOCKS = Path(__file__).resolve().parents[2] / "datasites" / "deployment" / "locks"
INSTALLER = "pip==26.3"
# Without a GPU, a datasite does not need NVIDIA's libraries, nor Triton, which compiles for GPUs.
# The runtime of CUDA stays: torch registers its kernels with it as it is loaded, whether there is a GPU or not.
_FOR_GPUS = ("nvidia-", "cuda-", "triton")
_KEPT = "nvidia-cuda-runtime"
_TOLD = {
    "cpu": "datasite and researcher without a GPU: as cuda.txt, without NVIDIA's libraries and Triton.",
    "cuda": "datasite with a GPU: all that Wanwu runs with.",
    "installer": "what puts the others into place, and is in no image.",
    "serving": "a served model: the packages of researcher/serving/requirements.txt.",
}


def main() -> None:
    """Writes the locks."""
    runtime, serving = map(Path, sys.argv[1:3])
    whole, served = pinned(runtime), pinned(serving)
    small = {name: line for name, line in whole.items() if not is_for_gpus(name)}
    installer = pinned_texts([INSTALLER])
    for name, lock in (("cpu", small), ("cuda", whole), ("serving", served), ("installer", installer)):
        lines = dict(sorted(lock.items())).values()
        head = f"# Packages of an image: {_TOLD[name]}\n# Written by `make lock`, for x86-64.\n"
        (LOCKS / f"{name}.txt").write_text(head + "\n".join(lines) + "\n")


def is_for_gpus(name: str) -> bool:
    """Whether a package is left out where there is no GPU."""
    return name.startswith(_FOR_GPUS) and name != _KEPT


def pinned_texts(pins: list[str]) -> dict[str, str]:
    """Name → line of a lock, of these pins."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pins) + "\n")
        file.flush()
        return pinned(Path(file.name))


def pinned(pins: Path) -> dict[str, str]:
    """Name → line of a lock, of the pins in a file."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"]
        subprocess.run([*command, "--report", str(report), "-r", str(pins)], check=True)
        return dict(_lines(json.loads(report.read_text())))


def _lines(report: dict) -> Iterator[tuple[str, str]]:
    for one in report["install"]:
        name = one["metadata"]["name"].lower().replace("_", "-").replace(".", "-")
        digest = one["download_info"]["archive_info"]["hashes"]["sha256"]
        yield name, f"{name}=={one['metadata']['version']} --hash=sha256:{digest}"


if __name__ == "__main__":
    main()
