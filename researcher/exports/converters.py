"""Converters that need an environment of their own: each is a program there, with a pinned closure.

A converter gets a folder with the traced program and public pictures, and leaves the converted model in it. Nothing
else crosses to it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from policies.errors import ConverterMissing, ExportRefused

PLACE = Path(__file__).parent / "environments"
WHEELS_BY_DIGEST = ("--no-deps", "--require-hashes", "--no-build")
_TOLD = 600  # characters of a converter's last words


@dataclass(frozen=True)
class Converter:
    """A converter.

    Attributes:
        name: Of the format, and of its two files in `PLACE`: the program, and the closure that it is installed from.
        result: What it leaves in its folder.
        is_run: Whether it also runs what it made, and leaves the probabilities of the public pictures.
    """

    name: str
    result: str
    is_run: bool = True

    @property
    def environment(self) -> Path:
        """Where its environment is, on this machine: another one for another closure."""
        digest = hashlib.sha256((PLACE / f"{self.name}.txt").read_bytes()).hexdigest()
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "wanwu" / "converters" / f"{self.name}-{digest[:12]}"

    @property
    def _python(self) -> Path:
        return self.environment / "bin" / "python"

    @property
    def is_set_up(self) -> bool:
        """Whether it can run here."""
        return (self.environment / ".installed").is_file()

    def set_up(self) -> None:
        """Makes its environment with uv, from its closure, which says every version and the digest of every wheel.

        Nothing is built: what builds would be named by no digest.

        Raises:
            ConverterMissing: uv is not here, or cannot install it.
        """
        beside = Path(sys.executable).with_name("uv")
        uv = str(beside) if beside.is_file() else shutil.which("uv")
        if uv is None:
            raise ConverterMissing("uv is needed to set a converter up, and is not here. Install it: pip install uv.")
        python = ["--python", str(self._python)]
        for arguments in (
            ["venv", "--clear", "--python", sys.executable, str(self.environment)],
            ["pip", "install", *WHEELS_BY_DIGEST, *python, "-r", str(PLACE / f"{self.name}.txt")],
        ):
            ran = subprocess.run([uv, *arguments], capture_output=True, text=True, check=False)
            if ran.returncode:
                raise ConverterMissing(f"uv could not set up {self.name}: {_last_line(ran.stderr)}")
        (self.environment / ".installed").touch()

    def run(self, folder: Path) -> Path:
        """Converts what lies in a folder; returns what was left there.

        Raises:
            ConverterMissing: It was not set up.
            ExportRefused: It fails.
        """
        if not self.is_set_up:
            raise ConverterMissing(
                f"The converter to {self.name} is not set up on this machine. Run once: python -m researcher export "
                f"--format {self.name} --set_up"
            )
        program = [str(self._python), "-P", str(PLACE / f"{self.name}.py"), str(folder)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        ran = subprocess.run(program, capture_output=True, text=True, check=False, env=clean)
        result = folder / self.result
        if ran.returncode or not result.exists():
            raise ExportRefused(f"The converter to {self.name} cannot take this model: {_why(ran)}")
        return result


def _why(ran: subprocess.CompletedProcess[str]) -> str:
    """What became of a process that failed: a signal that ended it says more than the last that it wrote before."""
    if ran.returncode < 0:
        return f"its process was ended by signal {-ran.returncode}, after {_last_line(ran.stderr)!r}."
    return _last_line(ran.stderr)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1][-_TOLD:]


CONVERTERS = {
    "litert": Converter("litert", "model.tflite"),
    "coreml": Converter("coreml", "model.mlpackage", is_run=False),
    "executorch": Converter("executorch", "model.pte"),
}
