"""The same round trip through PySyft 0.9.5 as shipped: a code request whose function takes and returns the payload."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from support.hospitals import ENVIRONMENT  # noqa: E402
from support.ports import free_port  # noqa: E402
from support.waiting import CEILING_SECONDS, wait_for  # noqa: E402

_ADMIN = {"email": "info@openmined.org", "password": "changethis"}
_SERVER = """
import sys, time
import syft as sy
options = dict(host="127.0.0.1", dev_mode=False, reset=True, n_consumers=0)
sy.orchestra.launch(name=sys.argv[1], port=int(sys.argv[2]), **options)
while True:
    time.sleep(3600)
"""


def measure(megabytes: int, *, datasites: int, rounds: int) -> dict[str, Any]:
    """As `measure_here`, in a process of its own: this one's PySyft builds the platform's types only."""
    command = [sys.executable, __file__, str(megabytes), str(datasites), str(rounds)]
    done = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def measure_here(megabytes: int, *, datasites: int, rounds: int) -> dict[str, Any]:
    """A row for the result: blocking calls to `datasites` stock servers at once, median of `rounds` after one."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(_server(f"stock-{megabytes}-{number}")) for number in range(datasites)]
        payload = os.urandom(megabytes * 1_000_000)
        asks = [_prepare(port) for port in servers]
        seconds = [_one_round(asks, payload) for _ in range(rounds + 1)][1:]
    return {
        "system": "pysyft",
        "payload_mb": megabytes,
        "encoding": "none",
        "datasites": datasites,
        "seconds_per_round": round(statistics.median(seconds), 3),
        "spread": [round(min(seconds), 3), round(max(seconds), 3)],
        "rounds": rounds,
        "bytes_per_round": 2 * len(payload) * datasites,
        "peak_rss_mb": None,
    }


def _one_round(asks: list[Any], payload: bytes) -> float:
    begun = time.monotonic()
    with ThreadPoolExecutor(len(asks)) as pool:
        answers = list(pool.map(lambda ask: ask(payload), asks))
    if any(answer != payload for answer in answers):
        raise ValueError("Stock PySyft returned something else than the payload.")
    return time.monotonic() - begun


def _prepare(port: int) -> Any:
    """Submits and approves the function; returns the researcher's call of it."""
    import syft as sy

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        admin = sy.login(url="http://127.0.0.1", port=port, **_ADMIN)
        person = {"email": "researcher@university.org", "password": "a password of a test"}
        admin.users.create(name="Researcher", password_verify=person["password"], **person)
        # All that the function is given is the researcher's own, which PySyft calls a mock execution.
        admin.users.search(email=person["email"])[0].allow_mock_execution()
        client = sy.login(url="http://127.0.0.1", port=port, **person)

        @sy.syft_function(input_policy=sy.MixedInputPolicy(payload=list, client=client))
        def give_back(payload):
            return payload[0]

        client.code.request_code_execution(give_back)
        admin.requests.get_all()[0].approve()
        client.refresh()

    def ask(payload: bytes) -> bytes:
        return bytes(client.code.give_back(payload=[payload]).get())

    return ask


@contextlib.contextmanager
def _server(name: str) -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, name, str(port)],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(lambda: _answers(port), alive=lambda: process.poll() is None)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://127.0.0.1:{port}/api/v2/metadata", timeout=CEILING_SECONDS).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    asked = [int(number) for number in sys.argv[1:]]
    print(json.dumps(measure_here(asked[0], datasites=asked[1], rounds=asked[2])))
