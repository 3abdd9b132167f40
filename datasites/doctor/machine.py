"""Checks of the machine that a datasite runs on: programs, clock, disk, memory, GPU, sandbox."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from datasites.doctor.finding import OK, PROBLEM, WARNING, ExaminedDatasite, Finding
from datasites.doctor.seen_gpus import seen_gpus
from datasites.runs.kernels.kernel_store import KernelStore, size_of
from datasites.state.kept_books import read_audit
from datasites.training.gpu.requirements import LEAST_FOR_TORCH, lack
from policies.errors import ConfigError
from policies.versions import packages

GIB, MIB = 1 << 30, 1 << 20
LEAST_FREE = GIB // 4
DATASITE_MEMORY = 700 << 20  # bytes that a datasite and one runner of a small model want
RUNNER_MEMORY = 800 << 20
MADE_FOR = {"syft": "0.9.5", "opacus": "1.6"}
_YEARS = range(2026, 2100)
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


def programs(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Versions of what the datasite is made of."""
    found = packages.installed()
    told = ", ".join(f"{name} {version}" for name, version in found.items())
    wrong = [name for name, version in MADE_FOR.items() if not found[name].startswith(version)]
    if missing := [name for name, version in found.items() if version == "missing"]:
        yield Finding("versions", PROBLEM, f"{', '.join(missing)} missing; {told}", "Run 'make setup'.")
    elif wrong:
        expected = ", ".join(f"{name} {MADE_FOR[name]}" for name in wrong)
        yield Finding("versions", PROBLEM, f"made for {expected}; {told}", "Install the pinned closure: 'make setup'.")
    else:
        yield Finding("versions", OK, told)


def clock(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether the clock is plausible, has not gone back, and is kept by somebody."""
    now = datetime.now(UTC)
    if now.year not in _YEARS:
        yield Finding("clock", PROBLEM, f"it shows the year {now.year}", "Set it; signatures and logs depend on it.")
        return
    last = _last_event(examined)
    if last is not None and last > now + timedelta(seconds=2):
        text = f"it shows {now:%Y-%m-%d %H:%M:%S} UTC, the audit log's last event is of {last:%Y-%m-%d %H:%M:%S}"
        yield Finding("clock", PROBLEM, text, "It went back, or was wrong before. Set it before anything is signed.")
    elif _unsynchronised():
        yield Finding("clock", WARNING, "the kernel calls it not synchronised", "Run chrony or another NTP client.")
    else:
        yield Finding("clock", OK, f"{now:%Y-%m-%d %H:%M:%S} UTC")


def disk(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether the state folder's disk takes what the next runs may write."""
    path = examined.state.path
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        yield Finding(
            "disk", PROBLEM, f"{path} is on a read-only disk", "Mount it writable; the kernel's log says why."
        )
        return
    free = shutil.disk_usage(path).free
    need = 2 * examined.config.max_update_bytes * examined.config.concurrent_runs + LEAST_FREE
    told = f"{free / GIB:.1f} GiB free, {need / GIB:.1f} GiB wanted (two sets of weights for each run at once)"
    if free < LEAST_FREE:
        yield Finding("disk", PROBLEM, told, "Make room: the ledger and the audit log must be able to grow.")
    elif free < need:
        yield Finding("disk", WARNING, told, "Make room, or lower max_update_bytes.")
    else:
        yield Finding("disk", OK, told)


def memory(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether there is memory for the datasite and its runs."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    free = {parts[0]: int(parts[1]) << 10 for parts in lines}["MemAvailable:"]
    need = RUNNER_MEMORY * examined.config.concurrent_runs + (0 if examined.running else DATASITE_MEMORY)
    told = f"{free / GIB:.1f} GiB available, {need / GIB:.1f} GiB wanted for all runs at once"
    yield (
        Finding("memory", OK, told)
        if free >= need
        else Finding("memory", WARNING, told, "Lower concurrent_runs, or give the machine more memory.")
    )


def gpu(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Which GPUs there are, what private training lacks there, whether runs see them, and may take so many."""
    if examined.config.on_slurm:
        return  # they are looked at where runs are
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield Finding("GPU", OK, "none; runs use the CPU")
        return
    asked = [tool, "--query-gpu=name,memory.total,memory.used,compute_cap", "--format=csv,noheader"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        yield Finding("GPU", WARNING, "nvidia-smi fails; runs use the CPU", "See what 'nvidia-smi' says.")
        return
    lines, most = done.stdout.splitlines(), examined.config.gpus_per_run
    for number, line in enumerate(lines):
        name, total, used, capability = (part.strip() for part in line.split(","))
        yield Finding("GPU", OK, f"{number}: {name}, {total}, {used} in use")
        known = re.fullmatch(r"(\d+)\.(\d+)", capability)
        own = (int(known[1]), int(known[2])) if known else None
        missing = lack(own) if own else None
        if own and own < LEAST_FOR_TORCH:
            told = f"{number}: too old for this torch, of compute capability {capability}: runs use the CPU"
            yield Finding("GPU", WARNING, told, "Set runs_per_gpu to 0, so that no run waits for it.")
        elif missing is not None:
            told = f"{number}: private training is slower there than it could be: {missing.what}"
            yield Finding("GPU", WARNING, told, missing.remedy)
    kept = KernelStore(examined.state.kernels)
    if sets := kept.sets():
        size = size_of(kept.folder) / MIB
        told = f"kernels of {len(sets)} kinds of runs compiled, {size:.0f} MiB of at most {kept.most_bytes / MIB:.0f}"
        yield Finding("GPU", OK, told)
    yield from seen_gpus(examined, len(lines))
    if most > len(lines):
        told = f"gpus_per_run is {most}, so private training takes all {len(lines)} and waits until they are free"
        yield Finding("GPU", WARNING, told, "Lower gpus_per_run, or see whether the driver shows every GPU.")


def sandbox(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Which pieces of the sandbox this machine has, where this program has a sandbox and runs are here."""
    if examined.config.on_slurm:
        return
    if importlib.util.find_spec("datasites.runs.sandbox.confinement") is None:
        yield Finding("sandbox", WARNING, "this version runs without one", "See SECURITY.md.")
        return
    pieces = importlib.import_module("datasites.runs.sandbox.confinement").sandbox_report()
    required = bool(getattr(examined.config, "require_sandbox", True))
    missing = [one for one in pieces if not one.present]
    for one in missing:
        refused = required and one.required
        advice = "Runs have the other pieces, and go on without it."
        if refused:
            advice = "Runs are refused without it."
        elif one.required_with_gpus:
            advice = "Runs with a GPU are refused without it; the others go on."
        yield Finding("sandbox", PROBLEM if refused else WARNING, f"no {one.piece}: {one.why}", advice)
    if not missing:
        yield Finding("sandbox", OK, ", ".join(one.piece for one in pieces))


def _last_event(examined: ExaminedDatasite) -> datetime | None:
    try:
        entries = read_audit(examined.state).entries
    except ConfigError:
        return None  # another check says so
    return datetime.fromisoformat(str(entries[-1]["time"])) if entries else None


def _unsynchronised() -> bool:
    """What adjtimex(2) says; False where it cannot be asked."""
    try:
        return bool(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) == _TIME_ERROR)
    except (OSError, AttributeError):
        return False
