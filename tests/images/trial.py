"""`make image-test`: three datasites and a researcher as containers, a study of two rounds, and a look at its model.

    python -m images.trial

The containers are started as docs/how-to-install.md says: no root, no capability, a root file system that cannot be
written, the profile of system calls, and a network of their own with no way out of the machine. The hospitals' people
approve with their own commands. It prints how large each image is and how long a datasite takes to start, and ends with
1 where something does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from datasites.assets.drawn.demo import write_demo
from images.build import PROJECT, size_bytes
from images.scan import scan
from policies import __version__

TOOLS = ("podman", "docker")
HOSPITALS = ("hospital_a", "hospital_b", "hospital_c")
RESEARCHER = "researcher@university.org"
ROUNDS, ACCOUNT, CONSOLE = 2, 10001, 8090
PROFILE = PROJECT / "datasites" / "deployment" / "seccomp.json"
ASK = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{CONSOLE}/health', timeout=5)"
_PAUSE = 0.5
# Of the images for machines without a GPU, unpacked.
_MOST_MB = {"datasite": 2500, "researcher": 2500, "serving": 400}
# A receipt is a text within its file's JSON, so quotation marks in it may have a backslash before them.
BILL = re.compile(r"sbom\W+(sha256:[0-9a-f]{64})")
_MODEL = "/study/out/global_model.safetensors"


@dataclass(frozen=True)
class Containers:
    """Containers of one trial, on one machine.

    Attributes:
        tool: podman or docker.
        folder: Pictures, settings and the researcher's files.
        mark: Begins the names of what is made, and is removed in the end.
    """

    tool: str
    folder: Path
    mark: str

    def call(self, *arguments: str, check: bool = True) -> str:
        """Runs the program, and returns what it says."""
        done = subprocess.run([self.tool, *arguments], capture_output=True, text=True, check=False)
        if check and done.returncode:
            sys.exit(f"{self.tool} {' '.join(arguments[:4])} ...: {(done.stdout + done.stderr).strip()[-2000:]}")
        return done.stdout

    def run(self, image: str, *command: str, name: str, mounts: Sequence[str], detached: bool = False) -> str:
        """Starts a container of one of the images, closed in as the documentation says."""
        host = name.replace("_", "-")
        own = [
            "run",
            "--name",
            f"{self.mark}-{name}",
            "--hostname",
            host,
            "--network",
            self.mark,
            "--network-alias",
            host,
        ]
        own += ["--read-only", "--tmpfs", "/tmp:mode=1777", "--cap-drop", "all", "--user", f"{ACCOUNT}:{ACCOUNT}"]
        own += ["--security-opt", "no-new-privileges", "--security-opt", f"seccomp={PROFILE}"]
        own += [part for mount in mounts for part in ("--volume", mount)]
        own += ["--detach"] if detached else ["--rm"]
        more = os.environ.get("CONTAINER_FLAGS", "").split()
        return self.call(*own, *more, f"localhost/wanwu-{image}:{__version__}", *command)

    def inside(self, name: str, *command: str, check: bool = True) -> str:
        """Runs a command in a container that is there."""
        return self.call("exec", f"{self.mark}-{name}", *command, check=check)

    def start(self, hospital: str) -> float:
        """Describes a datasite, starts it, and returns how many seconds it took until it served."""
        settings, host = self.folder / f"{hospital}.toml", hospital.replace("_", "-")
        settings.write_text(
            f'host = "0.0.0.0"\npublic_names = ["{host}"]\nconsole_port = {CONSOLE}\n'
            f'researchers = ["{RESEARCHER}"]\n'
            f'[dataset]\ndata_path = "/pictures/drawn.npz"\nsite = "{hospital}"\n'
        )
        self.call("volume", "create", f"{self.mark}-{hospital}")
        mounts = [f"{self.mark}-{hospital}:/var/lib/wanwu", f"{self.folder}:/pictures:ro"]
        state = ("--state", f"/var/lib/wanwu/{hospital}")
        described = ("init", "--name", hospital, *state, "--settings", f"/pictures/{hospital}.toml")
        self.run("datasite", *described, name=f"{hospital}-describe", mounts=mounts)
        self.run("datasite", "ingest", *state, "--yes", name=f"{hospital}-ingest", mounts=mounts)
        begun = time.monotonic()
        self.run("datasite", "serve", *state, name=hospital, mounts=mounts, detached=True)
        while subprocess.run(
            [self.tool, "exec", f"{self.mark}-{hospital}", "python", "-I", "-c", ASK], capture_output=True, check=False
        ).returncode:
            if f"{self.mark}-{hospital}" not in self.call("ps", "--format", "{{.Names}}"):
                sys.exit(f"{hospital} ended: {self.call('logs', f'{self.mark}-{hospital}')[-2000:]}")
            time.sleep(_PAUSE)
        return time.monotonic() - begun

    def remove(self) -> None:
        """Ends and removes all that the trial made."""
        names = self.call("ps", "--all", "--format", "{{.Names}}", check=False).split()
        for name in (one for one in names if one.startswith(f"{self.mark}-")):
            self.call("stop", "--time", "20", name, check=False)
            self.call("rm", "--force", name, check=False)
        for hospital in HOSPITALS:
            self.call("volume", "rm", "--force", f"{self.mark}-{hospital}", check=False)
        self.call("network", "rm", self.mark, check=False)


def main() -> None:
    """Runs the trial, prints what it found and writes out/bench/image.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", choices=TOOLS, help="what runs the containers; the first that is here if not given")
    tool = parser.parse_args().tool or next((one for one in TOOLS if shutil.which(one)), None)
    if tool is None:
        sys.exit("Containers are run by podman or docker, and neither is here. Install Debian's package 'podman'.")
    with tempfile.TemporaryDirectory(prefix="wanwu-images-") as place:
        folder = Path(place)
        folder.chmod(0o755)
        containers = Containers(tool, folder, f"wanwu-trial-{os.getpid()}")
        try:
            found = trial(containers)
        finally:
            containers.remove()
    out = PROJECT / "out" / "bench" / "image.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    sys.exit(int(not all(found["holds"].values())))


def trial(containers: Containers) -> dict[str, Any]:
    """Runs the study, and says what holds."""
    drawn = write_demo(containers.folder / "drawn")
    shutil.copy(drawn, containers.folder / "drawn.npz")
    study = containers.folder / "study"
    (study / "credentials").mkdir(parents=True)
    shutil.copy(drawn.with_name("hold_out.npz"), study / "hold_out.npz")
    containers.call("network", "create", "--internal", containers.mark)
    seconds = {hospital: containers.start(hospital) for hospital in HOSPITALS}
    holds: dict[str, bool] = {}
    for hospital in HOSPITALS:
        state = ("--state", f"/var/lib/wanwu/{hospital}")
        told = json.loads(containers.inside(hospital, "wanwu-datasite", "doctor", *state, "--json", check=False))
        text = json.dumps(told)
        holds[f"sandbox at {hospital}"] = "Runs are refused without it" not in text and "sandbox" in text
        file = f"/var/lib/wanwu/{hospital}/credentials/{RESEARCHER}.json"
        (study / "credentials" / f"{hospital}.json").write_text(containers.inside(hospital, "cat", file))
    for path in (study, *study.rglob("*")):
        os.chown(path, ACCOUNT, ACCOUNT)
        path.chmod(0o700 if path.is_dir() else 0o600)
    _study(containers, study)
    model = load_file(study / "out" / "global_model.safetensors")
    holds["every value of the model is finite"] = all(np.isfinite(value).all() for value in model.values())
    told = json.loads((study / "out" / "result.json").read_text())
    holds["both rounds were run"] = told["rounds"] == ROUNDS
    for step, command in {
        "receipts were fetched": ["receipts", "--credentials", "/study/credentials/*.json", "--out", "/study/out"],
        "the model is the one of the receipts": ["receipt", "verify-model", _MODEL, "--out", "/study/out"],
    }.items():
        print(containers.run("researcher", *command, name="verifier", mounts=[f"{study}:/study"]))
        holds[step] = True  # else it has ended the trial
    named = [set(BILL.findall(one.read_text())) for one in (study / "out" / "receipts").glob("*.receipt.json")]
    flags = os.environ.get("CONTAINER_FLAGS", "").split()
    for target in _MOST_MB:
        found, bill = scan(target, containers.call, flags=flags, mark=containers.mark)
        holds |= found
        if target == "datasite":
            holds["every receipt names the bill of materials of the image"] = named == [{bill}] * len(HOSPITALS)
    sizes = {}
    for target, most in _MOST_MB.items():
        sizes[target] = round(size_bytes(f"localhost/wanwu-{target}:{__version__}", containers.tool) / 1e6, 1)
        holds[f"the image {target} has at most {most} MB"] = sizes[target] <= most
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    started = {hospital: round(value, 1) for hospital, value in seconds.items()}
    return {"machine": machine, "size_mb": sizes, "start_seconds": started, "holds": holds}


def _study(containers: Containers, study: Path) -> None:
    """The researcher's side, with the hospitals' people beside it."""
    command = [
        "train",
        "--credentials",
        "/study/credentials/*.json",
        "--test",
        "/study/hold_out.npz",
        "--out",
        "/study/out",
    ]
    command += ["--num_rounds", str(ROUNDS), "--local_epochs", "0.5", "--min_clients", "3", "--epsilon", "2"]
    containers.run("researcher", *command, name="researcher", mounts=[f"{study}:/study"], detached=True)
    waiting = set(HOSPITALS)
    while "researcher" in containers.call("ps", "--format", "{{.Names}}"):
        for hospital in sorted(waiting):
            state = ("--state", f"/var/lib/wanwu/{hospital}")
            asked = ("wanwu-datasite", "requests", *state, "--only", "pending", "--json")
            for request in _identifiers(json.loads(containers.inside(hospital, *asked))):
                containers.inside(hospital, "wanwu-datasite", "approve", request, *state)
                waiting.discard(hospital)
        time.sleep(_PAUSE)
    ended = containers.call("wait", f"{containers.mark}-researcher").strip()
    log = subprocess.run(
        [containers.tool, "logs", f"{containers.mark}-researcher"], capture_output=True, text=True, check=False
    )
    print(log.stdout[-3000:] + log.stderr[-3000:])
    if ended != "0":
        sys.exit(f"The study ended with status {ended}.")


def _identifiers(told: Any) -> list[str]:
    rows = told if isinstance(told, list) else told.get("requests", [])
    return [str(row.get("request_id") or row.get("id") or row.get("request")) for row in rows]


if __name__ == "__main__":
    main()
