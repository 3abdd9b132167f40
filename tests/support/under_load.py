"""How a hospital's console answers while its datasite holds many connections, some of them hostile.

    python tests/support/under_load.py        prints a table; 0 if the console's p95 stays below three times its idle

Real certificates, real TLS, a real datasite in a process of its own. Idle and loaded phases take turns, so that
whatever else the machine does falls on both alike.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from support.hospitals import ENVIRONMENT, PROJECT, Hospital, make_hospital, running, small_plan, write_pictures
from support.waiting import CEILING_SECONDS

from researcher.hospitals.credentials import Credentials
from researcher.hospitals.federation import Federation

MOST_RATIO = 3.0
ROUTES = ("/requests", "/runs", "/budget", "/researchers", "/limits")
PROBE_PAUSE_SECONDS = 0.02
RUDE, REVOKED = ("rude1@university.org", "rude2@university.org"), "revoked@university.org"


def main() -> int:
    """Measures and prints; 0 if the console keeps its pace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--researchers", type=int, default=20)
    parser.add_argument("--connections", type=int, default=200, help="all, the hostile ones among them")
    parser.add_argument("--hostile", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3, help="an idle and a loaded phase each")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder) / "pictures.npz", sites=("north", "south"))
        north = make_hospital(Path(folder), "north", Path(folder) / "pictures.npz")
        honest = [f"r{number}@university.org" for number in range(options.researchers)]
        north.configure(researchers=[*honest, *RUDE, REVOKED])
        with running(north, forked=False):
            members = Path(folder) / "members.json"
            members.write_text(json.dumps(_members(north, honest)))
            idle, loaded = _measure(north, members, options)
            refused = _refused(north)
    return _report(idle, loaded, refused)


def _members(north: Hospital, honest: list[str]) -> dict[str, Any]:
    """Accounts with a code request each, rude ones, and one that is revoked."""
    members, rude = [_member(north, email) for email in honest], [_member(north, email) for email in RUDE]
    revoked = _member(north, REVOKED)
    north.admin("revoke", REVOKED)
    return {"honest": members, "rude": rude, "revoked": revoked}


def _member(north: Hospital, email: str) -> dict[str, Any]:
    credentials = Credentials.from_file(north.credentials(email))
    with Federation.connect([credentials]) as federation:
        submitted = federation.submit(small_plan(federation, study=email.split("@")[0]))["north"]
        seed = federation.hospitals["north"].routes._seed.hex()
    return {"credentials": asdict(credentials), "seed": seed, "request_id": submitted.request_id}


def _measure(north: Hospital, members: Path, options: argparse.Namespace) -> tuple[dict[str, list[float]], ...]:
    idle: dict[str, list[float]] = defaultdict(list)
    loaded: dict[str, list[float]] = defaultdict(list)
    _probe(north, defaultdict(list), 1)  # the first card of all starts the calculator
    for turn in range(options.turns):
        _probe(north, idle, options.seconds)
        with _crowd(members, options) as counts:
            _probe(north, loaded, options.seconds)
        print(f"turn {turn + 1}: {json.dumps(counts)}", flush=True)
    return idle, loaded


@contextmanager
def _crowd(members: Path, options: argparse.Namespace) -> Iterator[dict[str, int]]:
    """Holds all connections while this is open; then what became of them."""
    numbers = ("--connections", options.connections - options.hostile, "--hostile", options.hostile)
    call = [sys.executable, PROJECT / "tests" / "support" / "crowd.py", members, *numbers, "--seconds", options.seconds]
    counts: dict[str, int] = {}
    with subprocess.Popen([str(part) for part in call], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stdout
        if process.stdout.readline() != "holding\n":
            raise SystemExit("not all researchers' connections were taken")
        yield counts
        counts.update(json.loads(process.stdout.readline()))


def _probe(north: Hospital, seconds: dict[str, list[float]], phase_seconds: float) -> None:
    """Asks the console, one route after the other; how long each answer took."""
    access = json.loads((north.state / "identity" / "console.json").read_text())
    host = access["url"].removeprefix("http://")
    until = time.monotonic() + phase_seconds
    while time.monotonic() < until:
        for route in ROUTES:
            begun = time.perf_counter()
            connection = http.client.HTTPConnection(host, timeout=CEILING_SECONDS)
            connection.request("GET", f"/admin/v1{route}", headers={"authorization": f"Bearer {access['token']}"})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            seconds[route].append(time.perf_counter() - begun)
            if answer.status != http.client.OK:
                raise SystemExit(f"{route} answered {answer.status}")
            time.sleep(PROBE_PAUSE_SECONDS)


def _refused(north: Hospital) -> Counter[str]:
    """What the audit log counted of those who were turned away."""
    counted: Counter[str] = Counter()
    for kind in ("connection refused", "call refused"):
        for event in (*north.events(kind), *north.events(f"{kind}, more times")):
            counted[f"{kind}: {event.get('code', '')}"] += event["count"]
    return counted


def _report(idle: dict[str, list[float]], loaded: dict[str, list[float]], refused: Counter[str]) -> int:
    rows = {route: (idle[route], loaded[route]) for route in ROUTES}
    rows["all"] = tuple([one for route in ROUTES for one in side[route]] for side in (idle, loaded))  # type: ignore[assignment]
    print(f"{'console':>14} {'asked':>11} {'p50 ms':>15} {'p95 ms':>15} {'ratio of p95':>13}")
    for route, (before, during) in rows.items():
        (p50, p95), (loaded50, loaded95) = _percentiles(before), _percentiles(during)
        asked, halves, tails = f"{len(before)}/{len(during)}", f"{p50:.1f}/{loaded50:.1f}", f"{p95:.1f}/{loaded95:.1f}"
        print(f"{route:>14} {asked:>11} {halves:>15} {tails:>15} {loaded95 / p95:>13.2f}")
        ratio = loaded95 / p95
    print("refused, as the audit log counted them:", json.dumps(refused))
    kept = ratio < MOST_RATIO
    print(f"p95 under load is {ratio:.2f} times its idle value, {'below' if kept else 'not below'} {MOST_RATIO:g}")
    return 0 if kept else 1


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(seconds, n=20)
    return 1000 * cuts[9], 1000 * cuts[18]


if __name__ == "__main__":
    sys.exit(main())
