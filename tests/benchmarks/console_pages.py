"""How long the console's lists take with 100 and with 10,000 requests, runs and audit entries, beside a bare answer.

Two real consoles on loopback over a datasite's own tables; all else is as in the tests of its pages. Each page of each
is asked for in turn with the health answer of the same server, so that a busy machine slows all of them.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from support.console_pages import ADMIN_NAME, ConsoleOfFakes, serving
from support.daily_fakes import ACCOUNT, ADA
from support.waiting import CEILING_SECONDS

from datasites.approvals.approvals import Approvals
from datasites.audit_log.chain import entry_hash
from datasites.audit_log.log import AuditLog
from datasites.code_requests.request_index import Arrival, RequestIndex, RequestRow
from datasites.files.sqlite_file import open_private
from datasites.runs.queue import RunQueue
from policies.ledger.head_file import GENESIS

FEW, MANY = 100, 10_000
TURNS, WARMING = 200, 20
PAGES = {"requests": "/requests", "runs": "/runs", "audit": "/audit"}
PATHS = {"health": "/health", **PAGES}
Times = dict[str, list[float]]
"""Milliseconds of each answer, by page."""
STATES = ("done", "done", "done", "failed", "cancelled")


def page_rows() -> Iterator[dict[str, Any]]:
    """A row for each page."""
    few, many = _measured()
    for name in PAGES:
        times = sorted(many[name])
        p95 = _p95(times)
        yield {
            "what": f"page:{name}",
            "rows": MANY,
            "p50_ms": round(statistics.median(times), 2),
            "p95_ms": round(p95, 2),
            "ratio_to_100_rows": round(p95 / _p95(few[name]), 2),
            "ratio_to_health": round(p95 / _p95(many["health"]), 2),
        }


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def _measured() -> list[Times]:
    """Of the console with few rows, and of the one with many."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        consoles = [opened.enter_context(_console(Path(folder) / str(rows), rows)) for rows in (FEW, MANY)]
        clients = [
            opened.enter_context(
                httpx.Client(base_url=one.url, cookies=one.session_of(ADMIN_NAME), timeout=CEILING_SECONDS)
            )
            for one in consoles
        ]
        times: list[Times] = [{name: [] for name in PATHS} for _ in clients]
        for turn in range(WARMING + TURNS):
            for name, path in PATHS.items():
                for client, kept in zip(clients, times, strict=True):
                    begun = time.perf_counter()
                    client.get(path).raise_for_status()
                    if turn >= WARMING:
                        kept[name].append(1000 * (time.perf_counter() - begun))
    return times


@contextmanager
def _console(folder: Path, rows: int) -> Iterator[ConsoleOfFakes]:
    tables = folder / "tables"
    tables.mkdir(parents=True)
    approvals = Approvals(tables / "approvals.sqlite")
    index = RequestIndex(approvals)
    _put_requests(index, rows)
    _put_runs(tables / "runs.sqlite", rows)
    _put_events(tables / "audit.log", rows)
    queue, audit = RunQueue(tables / "runs.sqlite"), AuditLog(tables / "audit.log")
    with serving(folder, queue=queue, book=SimpleNamespace(page=index.page)) as console:
        console.noted.log = audit
        yield console
    queue.close()
    approvals.close()


def _put_requests(index: RequestIndex, rows: int) -> None:
    made = (RequestRow(f"{n:064x}", _now(), ADA, f"study-{n}", "training", "pictures", "cnn", 5) for n in range(rows))
    index.add_all(Arrival(row, ACCOUNT, f"{row.id:.32}") for row in made)


def _put_runs(file: Path, rows: int) -> None:
    RunQueue(file).close()
    table = open_private(file, "")
    runs = (
        (f"{n:016x}", f"{n // 5:064x}", n % 5, ACCOUNT, "w", STATES[n % 5], 1, 1.0, "", "", "", n, n, n + 60.0, 3)
        for n in range(rows)
    )
    table.execute("BEGIN")
    table.executemany(f"INSERT INTO runs VALUES ({','.join('?' * 15)})", runs)
    table.execute("COMMIT")
    table.close()


def _put_events(file: Path, rows: int) -> None:
    """As the log writes them, without waiting for the disk after each."""
    previous, lines = GENESIS, []
    for number in range(rows):
        event = {"time": _now(), "event": ("run started", "run done")[number % 2], "run": f"{number:016x}"}
        entry = {**event, "by": "dr.wu", "previous": previous}
        previous = entry_hash(entry)  # type: ignore[arg-type]
        lines.append(json.dumps({**entry, "hash": previous}))
    file.write_text("".join(f"{line}\n" for line in lines))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
