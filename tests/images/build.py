"""`make image`: builds the images of the Containerfile, and says how large each is.

    python -m images.build --targets datasite researcher serving --variant cpu

First it lays out, in out/image, all that a build copies: the root file system that mmdebstrap makes of Debian's
packages, the packages of the locks, each held against its digest, and Wanwu's own wheel. The build itself opens no
connection.
It takes buildah, podman or docker, the first that is there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from images.no_cuda import stand_in
from policies import __version__

PROJECT = Path(__file__).resolve().parents[2]
OUT = PROJECT / "out" / "image"
LOCKS = PROJECT / "datasites" / "deployment" / "locks"
TARGETS = ("datasite", "researcher", "serving")
TOOLS = ("buildah", "podman", "docker")
# Python, what packages in C++ need, certificates of authorities and the clocks of the world. Triton, which makes the
# kernels for a GPU when a run first needs them, compiles a few lines of C for it.
# The package that says that /bin lies in /usr: the other that may say so moves it there, and brings all of Perl.
DEBIAN = {"cpu": ("usr-is-merged", "python3.11", "libstdc++6", "ca-certificates", "tzdata")}
DEBIAN["cuda"] = (*DEBIAN["cpu"], "gcc", "libc6-dev", "python3.11-dev")
# Pages and translations for people at a terminal, of whom there are none in an image. Licences stay.
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/doc/*")
_KEPT = ("/usr/share/doc/*/copyright",)
# What the building machine would tell of itself, and what installing leaves behind. Python's own files are compiled as
# the packages are, so that no time of a file counts.
_TIDIED = (
    'cd "$1" && rm -rf etc/hostname etc/resolv.conf var/cache/debconf var/cache/ldconfig',
    'find "$1"/var/log -type f -delete',
    'chroot "$1" python3.11 -m compileall -q -f --invalidation-mode unchecked-hash /usr/lib/python3.11',
)
_MERGED = "/usr/share/mmdebstrap/hooks/merged-usr"
# The root is made again after a day, since Debian mends its packages. No file of it is younger than Debian 12, so that
# the same packages give the same bytes, and a root that did not change builds nothing anew.
_KEPT_SECONDS = 24 * 3600
_RELEASED = "1686355200"


class CannotBuild(Exception):
    """What is missing, and what to do."""


@dataclass(frozen=True)
class Build:
    """One call of `make image`.

    Attributes:
        tool: Program that builds.
        variant: `cpu` or `cuda`.
        base: Image that the root is taken from; empty where mmdebstrap makes it.
        source: Address of the sources, for a label; empty for none.
        suite: Debian's release; Wanwu wants its Python 3.11.
    """

    tool: str
    variant: str
    base: str
    source: str = ""
    suite: str = "bookworm"

    def lay_out(self) -> None:
        """Writes all that the build copies into out/image."""
        (OUT / "wheels").mkdir(parents=True, exist_ok=True)
        self._root()
        self._packages()
        self._wheel()

    def make(self, target: str) -> str:
        """Builds one target, after the root that it begins with, and returns the image's name."""
        if target != "root" and not self.base:
            self.make("root")
        suffix = f"-{self.variant}" if self.variant != "cpu" and target != "serving" else ""
        name = f"localhost/wanwu-{target}:{__version__}{suffix}"
        values = {"VARIANT": self.variant, "VERSION": __version__, "REVISION": _commit("%H"), "CREATED": _commit("%cI")}
        values |= laid_out()
        values["BASE"] = self.base or f"localhost/wanwu-root:{__version__}{suffix}"
        command = [
            self.tool,
            *({"buildah": ("bud", "--layers"), "podman": ("build", "--layers")}.get(self.tool, ("build",))),
        ]
        command += ["--file", "Containerfile", "--target", target, "--tag", name]
        command += [part for key, value in values.items() for part in ("--build-arg", f"{key}={value}")]
        if self.source and target != "root":
            command += ["--label", f"org.opencontainers.image.source={self.source}"]
        # docker's older builder knows no mounts, and releases before 23 take it unless they are told otherwise.
        told = {**os.environ, "DOCKER_BUILDKIT": "1"} if self.tool == "docker" else None
        run([*command, *os.environ.get("IMAGE_FLAGS", "").split(), "."], environment=told)
        return name

    def _root(self) -> None:
        root, wanted = OUT / "root.tar", OUT / "root.json"
        asked = json.dumps([self.base, self.suite, *DEBIAN[self.variant], *_LEFT_OUT, *_KEPT, *_TIDIED])
        young = root.exists() and time.time() - root.stat().st_mtime < _KEPT_SECONDS
        if young and wanted.exists() and wanted.read_text() == asked:
            return
        if self.base:
            tarfile.open(root, "w").close()  # the stage that unpacks it is not used
        elif shutil.which("mmdebstrap") is None:
            raise CannotBuild(
                "The images' root is made by mmdebstrap, which is not here. Install Debian's package 'mmdebstrap', or "
                "name an image with BASE=debian:12-slim."
            )
        else:
            filters = [f"--dpkgopt=path-exclude={one}" for one in _LEFT_OUT]
            filters += [f"--dpkgopt=path-include={one}" for one in _KEPT]
            command = ["mmdebstrap", "--quiet", "--variant=essential", f"--include={','.join(DEBIAN[self.variant])}"]
            command += [f"--hook-dir={_MERGED}", *(f"--customize-hook={one}" for one in _TIDIED), *filters]
            command += [*os.environ.get("MMDEBSTRAP_FLAGS", "").split(), self.suite, str(root)]
            run(command, environment={**os.environ, "SOURCE_DATE_EPOCH": _RELEASED})
        wanted.write_text(asked)

    def _packages(self) -> None:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        for lock in ("installer", "serving", self.variant):
            run([*pip, "--dest", str(OUT / "wheels"), "-r", str(LOCKS / f"{lock}.txt")])
        (OUT / "no-cuda").mkdir(exist_ok=True)
        if self.variant == "cpu":
            for missing in [one for one in ("gcc", "readelf") if shutil.which(one) is None]:
                raise CannotBuild(f"{missing} is not here. Install Debian's packages 'gcc' and 'binutils'.")
            (torch,) = (OUT / "wheels").glob("torch-[0-9]*.whl")
            done = OUT / "no-cuda" / f"{torch.name}.txt"
            if not done.exists():
                done.write_text("\n".join(stand_in(torch, OUT / "no-cuda")) + "\n")

    def _wheel(self) -> None:
        for old in (OUT / "wheels").glob("wanwu-*.whl"):
            old.unlink()
        uv = Path(sys.executable).with_name("uv")
        dated = {**os.environ, "SOURCE_DATE_EPOCH": _commit("%ct") or "315532800"}
        run([str(uv), "build", "--quiet", "--wheel", "--out-dir", str(OUT / "wheels"), "."], environment=dated)
        for left in (PROJECT / "build", *PROJECT.glob("*.egg-info")):
            shutil.rmtree(left, ignore_errors=True)


def laid_out() -> dict[str, str]:
    """Digests of what builds mount, by the argument that says them: buildah itself looks at no content of a mount."""
    parts = {
        "LAID": [*OUT.glob("no-cuda/*"), *OUT.glob("wheels/pip-*.whl")],
        "PROGRAM": [*OUT.glob("wheels/wanwu-*.whl")],
    }
    return {name: _digest(files) for name, files in parts.items()}


def _digest(files: Iterable[Path]) -> str:
    told = [f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in sorted(files)]
    return hashlib.sha256("".join(told).encode()).hexdigest()


def run(command: Sequence[str], *, environment: dict[str, str] | None = None) -> None:
    """Runs one command in the project's folder.

    Raises:
        CannotBuild: It failed; it has said why.
    """
    ended = subprocess.run(command, cwd=PROJECT, env=environment, check=False)
    if ended.returncode:
        raise CannotBuild(f"{' '.join(command[:3])} ... failed with status {ended.returncode}.")


def tool() -> str:
    """The first program of `TOOLS` that can build here.

    Raises:
        CannotBuild: None can.
    """
    for name in TOOLS:
        asked = (
            [name, "version"] if name == "docker" else [name, "--version"]
        )  # docker's own answers without its engine
        if shutil.which(name) and subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return name
    raise CannotBuild(
        "Images are built by buildah, podman or docker, and none is here. Install Debian's package 'buildah'."
    )


def size_bytes(name: str, of: str) -> int:
    """Bytes of an image, unpacked, as the program that built it counts them."""
    if of == "buildah":
        told = subprocess.run([of, "images", "--json", name], capture_output=True, text=True, check=True).stdout
        number, unit = json.loads(told)[0]["size"].split()
        return round(float(number) * {"KB": 1e3, "MB": 1e6, "GB": 1e9}[unit])
    command = [of, "image", "inspect", "--format", "{{.Size}}", name]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Builds what was asked for, and prints and keeps sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--variant", choices=sorted(DEBIAN), default="cpu", help="of the datasite's image")
    parser.add_argument("--base", default="", help="image to take the root from, in place of mmdebstrap's")
    parser.add_argument("--source", default="", help="address of the sources, for the images' labels")
    options = parser.parse_args()
    try:
        build = Build(tool(), options.variant, options.base, options.source)
        build.lay_out()
        made = [build.make(target) for target in options.targets]
    except CannotBuild as error:
        sys.exit(str(error))
    sizes = {name: size_bytes(name, build.tool) for name in made}
    for name, size in sizes.items():
        print(f"{name}: {size / 1e6:.0f} MB")
    (OUT / "sizes.json").write_text(
        json.dumps({"machine": platform.machine(), "built by": build.tool, "bytes": sizes}, indent=1)
    )


def _commit(form: str) -> str:
    told = subprocess.run(
        ["git", "log", "-1", f"--format={form}"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip()


if __name__ == "__main__":
    main()
