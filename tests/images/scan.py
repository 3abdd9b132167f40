"""What a hospital's IT looks for in an image before it runs one: rights, leftovers, compilers, labels, bills.

The look is taken from inside a container of the image, as root, which may read every file of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Callable

from images.build import OUT
from policies import __version__

LABELS = {
    "title": r"wanwu-\w+",
    "description": r".{20,}",
    "licenses": r"Apache-2\.0",
    "version": re.escape(__version__),
    "revision": r"[0-9a-f]{40}",
    "created": r"\d{4}-\d\d-\d\dT.*",
}
# Runs with the image's own Python and prints what it found, as JSON.
LOOK = """
import hashlib, importlib.metadata, importlib.util, json, os, re, shutil, stat, subprocess

device, found = os.lstat("/").st_dev, {"another's rights": [], "open to everybody": [], "the account's": [], "left": []}
for folder, folders, files in os.walk("/"):
    folders[:] = [one for one in folders if os.lstat(os.path.join(folder, one)).st_dev == device]
    for path in [os.path.join(folder, one) for one in [*folders, *files]]:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            continue
        if status.st_mode & (stat.S_ISUID | (0 if stat.S_ISDIR(status.st_mode) else stat.S_ISGID)):
            found["another's rights"].append(path)
        if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            found["open to everybody"].append(path)
        if 10001 in (status.st_uid, status.st_gid):
            found["the account's"].append(path)
        kept = stat.S_ISREG(status.st_mode) and status.st_size
        if kept and re.match("/(var/(cache|log|lib/apt/lists)|root/.cache|tmp)/", path):
            found["left"].append(path)
wanted = ("gcc", "cc", "c++", "clang", "ld", "as", "make", "protoc", "pip", "pip3", "uv")
found["tools"] = [one for one in wanted if shutil.which(one)] + ["pip"] * bool(importlib.util.find_spec("pip"))
own, whole = (open(f"/opt/wanwu/{name}.cdx.json").read() for name in ("python", "sbom"))
told = {one["purl"].split("?")[0] for one in json.loads(whole)["components"] if "purl" in one}
asked = subprocess.run(["dpkg-query", "-W", "-f", "${Package}\\n"], capture_output=True, text=True, check=True)
there = {re.sub("[-_.]+", "-", one.name).lower() for one in importlib.metadata.distributions()} - {"wanwu"}
found["untold"] = sorted(there - {one.split("/")[1].split("@")[0] for one in told if "pypi/" in one})
of_debian = {one.split("/")[2].split("@")[0] for one in told if "deb/" in one}
found["untold"] += sorted(set(asked.stdout.split()) - of_debian)
site = next(iter(importlib.metadata.distribution("wanwu").locate_file("").glob("policies"))).parent
lines = []
for package in ("datasites", "policies", "researcher"):
    for file in (site / package).rglob("*"):
        if file.is_file() and file.suffix != ".pyc":
            lines.append(f"{file.relative_to(site)} {hashlib.sha256(file.read_bytes()).hexdigest()}\\n")
found["program"] = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
found["packages"], found["bill"] = len(told), "sha256:" + hashlib.sha256(own.encode()).hexdigest()
print(json.dumps(found))
"""


def _program() -> str:
    """A digest of what the wheel in out/image holds of the three packages, as `LOOK` takes it of what is installed."""
    (wheel,) = OUT.glob("wheels/wanwu-*.whl")
    with zipfile.ZipFile(wheel) as laid:
        names = [name for name in laid.namelist() if name.split("/")[0] in ("datasites", "policies", "researcher")]
        lines = [f"{name} {hashlib.sha256(laid.read(name)).hexdigest()}\n" for name in names if not name.endswith("/")]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def scan(target: str, call: Callable[..., str], *, flags: list[str], mark: str) -> tuple[dict[str, bool], str]:
    """Looks at one image, and says what holds and which bill of Python's packages is in it.

    Args:
        target: datasite, researcher or serving.
        call: Runs podman or docker with these words, and returns what it says.
        flags: More words for the container's start.
        mark: Begins the container's name.
    """
    image = f"localhost/wanwu-{target}:{__version__}"
    closed = ["--rm", "--read-only", "--network", "none", "--user", "0:0", "--name", f"{mark}-scan", *flags]
    told = call("run", *closed, "--entrypoint", "python", image, "-I", "-c", LOOK)
    found = json.loads(told)
    labels = json.loads(call("image", "inspect", "--format", "{{json .Config.Labels}}", image)) or {}
    release = call("run", *closed, "--entrypoint", "wanwu-researcher", image, "--version")
    none = {
        "no file runs as somebody else": "another's rights",
        "nothing is open to everybody": "open to everybody",
        "nothing was left by its making": "left",
        "no compiler and no installer": "tools",
        "every package is in its bill of materials": "untold",
    }
    holds = {what: not found[key] for what, key in none.items()}
    holds["its account owns the folders for state and study alone"] = set(found["the account's"]) == {
        "/var/lib/wanwu",
        "/study",
    }
    holds["its labels say what it is"] = all(
        re.fullmatch(form, labels.get(f"org.opencontainers.image.{name}", "")) for name, form in LABELS.items()
    )
    holds["it tells its release"] = __version__ in release
    holds["it holds the program that was laid out for it"] = found["program"] == _program()
    for what in (what for what, held in holds.items() if not held):
        print(f"{target}: not so: {what}: {json.dumps(found)} {labels}")
    return {f"{target}: {what}": held for what, held in holds.items()}, found["bill"]
