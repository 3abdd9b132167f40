"""How long a study in few rounds takes over sockets: `make bench-few-rounds ARGS="--sockets"`.

Four datasites serve the sites of `rbc_chula` on this machine. The researcher asks for each study by the commands that
anybody types, and each hospital approves as soon as a request is there: what is told is the wall clock from the command
to the model, and the processor time of all hospitals. Studies run one after the other at the same datasites: the ratio
between them is what counts. Written after each into out/bench/few_rounds_sockets.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from support.hospitals import ENVIRONMENT, RESEARCHER, Hospital, make_hospital, requests_of, running

from datasites.assets.dataset_version import newest_version
from datasites.assets.features import FOLDER
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder

MODEL = "scattering_linear"
KINDS = ("few_rounds, kept features", "auto, computed anew", "auto, kept features", "few_rounds, computed anew")
_EPSILON = 8.0  # of each study, with its Gram matrix where it has one
_ROOM = 40.0  # epsilon of each hospital: all studies of this benchmark and their matrices
_LOOKED_EVERY = 0.2
_TICKS = os.sysconf("SC_CLK_TCK")


def measure(data: Path, out: Path, kinds: Sequence[str], most_rounds: int | None) -> None:
    """Runs the studies and writes a row for each.

    Args:
        data: Folder with train.npz and test.npz.
        out: The file for the result.
        kinds: Which of `KINDS`, in this order.
        most_rounds: After how many rounds a study by recipe auto is broken off; None where it runs to its end.
    """
    with np.load(data / "train.npz", allow_pickle=False) as arrays:
        sites = sorted({str(site) for site in arrays["sites"]})
    rows: list[dict[str, Any]] = []
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a study is broken off by it, also where this runs unseen
    with tempfile.TemporaryDirectory() as folder:
        hospitals = [make_hospital(Path(folder), site, data / "train.npz", rehearses=True) for site in sites]
        for hospital in hospitals:
            _give_room(hospital)
        with running(*hospitals, forked=False) as serving:
            rows.append(_kept(hospitals))
            # What each hospital's processes do once, no study pays for.
            Timed(serving, Path(folder), data, len(kinds), KINDS[2], most_rounds=1).row()
            for number, kind in enumerate(kinds):
                print(json.dumps(rows[-1]), flush=True)
                with _features(hospitals, kept="kept" in kind):
                    rows.append(Timed(serving, Path(folder), data, number, kind, most_rounds).row())
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_text(json.dumps({"datasites": sites, "epsilon": _EPSILON, "rows": rows}, indent=1) + "\n")
    print(json.dumps(rows[-1]), flush=True)


@dataclass
class Timed:
    """One study from its first command to its model.

    Attributes:
        serving: The datasites by name.
        folder: For what the researcher keeps.
        data: Folder with test.npz.
        number: Of the study.
        kind: One of `KINDS`.
        most_rounds: After how many rounds one by recipe auto is broken off, if at all.
        marks: Seconds since it began at which each round was done.
    """

    serving: Mapping[str, Hospital]
    folder: Path
    data: Path
    number: int
    kind: str
    most_rounds: int | None
    begun: float = field(default_factory=time.monotonic)
    marks: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Runs it; what it took and came to."""
        out, gram = self.folder / f"study-{self.number}", self.folder / f"gram-{self.number}"
        row: dict[str, Any] = {"what": self.kind, "load": [_load()]}
        asked = ["--study", out.name, "--model", MODEL, "--epsilon", str(_EPSILON)]
        asked += ["--credentials", str(self.folder / "*" / "credentials" / f"{RESEARCHER}.json")]
        trains = ["train", *asked, "--test", str(self.data / "test.npz"), "--out", str(out)]
        trains += ["--min_clients", str(len(self.serving))]
        processors = _processor_seconds(self.serving)
        if self.kind.startswith("few_rounds"):
            self._ask(["gram", *asked, "--out", str(gram)], gram)
            row["gram_seconds"] = self._now()
            self._ask([*trains, "--recipe", "few_rounds", "--gram", str(gram)], out)
        else:
            self._ask([*trains, "--recipe", "auto"], out)
        row |= {"seconds": self._now(), "rounds": len(self.marks)}
        row["hospitals_processor_seconds"] = round(_processor_seconds(self.serving) - processors, 1)
        if len(self.marks) > 1:
            row["seconds_a_round"] = round((self.marks[-1] - self.marks[0]) / (len(self.marks) - 1), 2)
        if (out / "result.json").exists():
            row["test_accuracy"] = round(json.loads((out / "result.json").read_text())["test_accuracy"][-1], 4)
        row["load"].append(_load())
        return row

    def _ask(self, words: Sequence[str], out: Path) -> None:
        """Runs a researcher's command to its end, and approves what it asks for once each hospital has the request."""
        told = out.with_name(f"{out.name}.log")
        with told.open("w") as log:
            line = [sys.executable, "-m", "researcher", *words]
            process = subprocess.Popen(
                line, stdout=log, stderr=subprocess.STDOUT, env=ENVIRONMENT, start_new_session=True
            )
            waiting = dict(self.serving)
            while process.poll() is None:
                time.sleep(_LOOKED_EVERY)
                for name, request in (requests_of(out, len(self.serving)) or {}).items():
                    if name in waiting:
                        waiting.pop(name).admin("approve", request)
                done = _rounds_done(out)
                self.marks += [self._now()] * (done - len(self.marks))
                if "auto" in words and self.most_rounds is not None and done >= self.most_rounds:
                    process.send_signal(signal.SIGINT)
                    process.wait()
                    return
        if process.returncode:
            raise SystemExit(f"The researcher's command failed: {told.read_text()[-2000:]}")

    def _now(self) -> float:
        return round(time.monotonic() - self.begun, 1)


def _rounds_done(out: Path) -> int:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return int(json.loads((out / "state.json").read_text())["round"])
    return 0


def _kept(hospitals: Sequence[Hospital]) -> dict[str, Any]:
    """Computes every hospital's features, all at once."""

    def compute(hospital: Hospital) -> None:
        line = [sys.executable, "-m", "datasites", "features", "--backbone", "scattering", "--state", hospital.state]
        # A session of its own, as a hospital's people have: where sessions share a machine evenly, it counts as one.
        subprocess.run(line, env=ENVIRONMENT, check=True, start_new_session=True)

    begun, before = time.monotonic(), os.times()
    with ThreadPoolExecutor(len(hospitals)) as pool:
        list(pool.map(compute, hospitals))
    used = os.times()
    processor = used.children_user + used.children_system - before.children_user - before.children_system
    seconds = round(time.monotonic() - begun, 1)
    row = {"what": "features, once", "seconds": seconds, "hospitals_processor_seconds": round(processor, 1)}
    return {**row, "load": [_load()]}


@contextmanager
def _features(hospitals: Sequence[Hospital], *, kept: bool) -> Iterator[None]:
    """Puts the hospitals' features away meanwhile, where a study is to compute them anew."""
    folders = []
    for hospital in hospitals if not kept else ():
        state = StateFolder(hospital.state)
        store = newest_version(state.store, DatasiteConfig.from_toml(state.config).dataset.name).folder
        folders.append(store / FOLDER)
    away = [folder.rename(folder.with_name("away")) for folder in folders]
    try:
        yield
    finally:
        for folder in away:
            folder.rename(folder.with_name(FOLDER))


def _give_room(hospital: Hospital) -> None:
    """Lets several studies be asked for at one hospital."""
    file = hospital.state / "config.toml"
    text = re.sub(r"(?m)^(max_(?:study|researcher)_epsilon) = .*$", rf"\g<1> = {_ROOM}", file.read_text())
    file.write_text(re.sub(r"(?m)^(total = \{ epsilon = )[0-9.]+", rf"\g<1>{_ROOM}", text))


def _processor_seconds(serving: Mapping[str, Hospital]) -> float:
    """Processor time so far of the datasites with all processes that they started, those that have ended too."""
    parents, ticks = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            words = file.read_text().rpartition(")")[2].split()
            parents[int(file.parent.name)], ticks[int(file.parent.name)] = int(words[1]), sum(map(int, words[11:15]))
    found = {hospital.process.pid for hospital in serving.values() if hospital.process}
    while more := {process for process, parent in parents.items() if parent in found} - found:
        found |= more
    return sum(ticks.get(process, 0) for process in found) / _TICKS


def _load() -> float:
    return round(os.getloadavg()[0], 1)
