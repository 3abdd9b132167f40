"""How long each help takes beside the bare interpreter's start: processor time, the least of some turns.

    python tests/benchmarks/commands.py --turns 9

A turn starts the interpreter and each command once, one after the other, so that a busy machine slows all alike; the
least is what it slowed least.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

import references  # noqa: E402

MOST = 5.0


def main() -> None:
    """Prints the ratio of each command's help to the bare start, largest first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9)
    options = parser.parse_args()
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
        for _ in range(options.turns):
            for name, arguments in calls.items():
                seconds[name].append(_processor_seconds(arguments, environment))
    least = {name: min(found) for name, found in seconds.items()}
    bare = least.pop("bare")
    print(f"bare interpreter: {bare * 1000:.1f} ms of processor time, the least of {options.turns}")
    for name, found in sorted(least.items(), key=lambda item: -item[1]):
        print(f"{found / bare:5.2f}  {found * 1000:6.1f} ms  {name}{'' if found <= MOST * bare else '   above 5'}")


def _processor_seconds(arguments: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *arguments]
    subprocess.run(command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
