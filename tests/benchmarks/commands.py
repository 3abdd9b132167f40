"""What commands take: each of every day against two running hospitals, and each help beside the bare interpreter.

    python tests/benchmarks/commands.py --turns 3 --beside ../earlier

Writes commands.json. A turn calls each command once, of this build and then of the other, so that a busy machine slows
all alike; the least of the turns is what it slowed least. The other build has this one's interpreter and packages.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests"), str(PROJECT / "tests" / "benchmarks")]

import references  # noqa: E402
from everyday import Build, Taken  # noqa: E402

MOST_OF_BARE = 5.0


def main() -> None:
    """Measures, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3, help="of the commands of every day")
    parser.add_argument("--help_turns", type=int, default=9, help="of the helps; 0 leaves them out")
    parser.add_argument("--beside", type=Path, help="a checkout of an earlier build, measured in the same turns")
    parser.add_argument("--out", type=Path, default=PROJECT / "out" / "bench")
    options = parser.parse_args()
    found: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"}
    print(found["machine"])
    if options.help_turns:
        found["helps"] = helps(options.help_turns)
    found["commands"] = everyday(options.turns, options.beside)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "commands.json").write_text(json.dumps(found, indent=1) + "\n")


def everyday(turns: int, beside: Path | None) -> list[dict[str, Any]]:
    """A row for each command: the least that it took, and of the other build; the ratio is of processor time."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        builds = [Build("this", PROJECT, Path(folder) / "this")]
        if beside:
            builds.append(Build("beside", beside.resolve(), Path(folder) / "beside"))
        for build in builds:
            stack.callback(build.close)
            build.open()
        taken: dict[str, dict[str, list[Taken]]] = {}
        for number in range(turns):
            for build in builds:
                for command, one in build.turn(number).items():
                    taken.setdefault(command, {}).setdefault(build.name, []).append(one)
    rows = []
    for command, of_builds in taken.items():
        row: dict[str, Any] = {"command": command}
        for name, found in of_builds.items():
            for what in Taken._fields:
                row[f"{what}_{name}"] = round(min(getattr(one, what) for one in found), 3)
        if len(of_builds) == 2:
            row["ratio"] = round(row["processor_seconds_this"] / row["processor_seconds_beside"], 3)
        print("  ".join(f"{name} {value}" for name, value in row.items()))
        rows.append(row)
    return rows


def helps(turns: int) -> list[dict[str, Any]]:
    """The ratio of each command's help to the bare interpreter's start, largest first; processor time."""
    calls = {"bare": ["-c", "pass"]}
    for call, program in references.programs().items():
        names = [call] + [command for command, _, _ in references.commands(call, program)]
        calls |= {name: [*name.removeprefix("python ").split(), "--help"] for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    with tempfile.TemporaryDirectory() as compiled:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = compiled
        for arguments in calls.values():
            _processor_seconds(arguments, environment)  # the first time a module is read it is compiled, and kept
        for _ in range(turns):
            for name, arguments in calls.items():
                seconds[name].append(_processor_seconds(arguments, environment))
    least = {name: min(found) for name, found in seconds.items()}
    bare = least.pop("bare")
    print(f"bare interpreter: {bare * 1000:.1f} ms of processor time, the least of {turns}")
    ordered = sorted(least.items(), key=lambda item: -item[1])
    for name, found in ordered:
        above = "" if found <= MOST_OF_BARE * bare else f"   above {MOST_OF_BARE:g}"
        print(f"{found / bare:5.2f}  {found * 1000:6.1f} ms  {name}{above}")
    return [
        {"help": name, "milliseconds": round(found * 1000, 1), "of_bare": round(found / bare, 2)}
        for name, found in ordered
    ]


def _processor_seconds(arguments: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *arguments]
    subprocess.run(command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
