"""What it takes to average many large client updates: seconds and memory, beside a bare reading of the same bytes.

    python tests/benchmarks/aggregation.py        100 updates of 100 MB; prints what it measured

One file stands for all updates, so its bytes come from the page cache, where reading takes the least: on a disk the
ratios are smaller. It is read bare in two ways, before and after: into new memory each time, as whoever keeps an update
has to, and into one buffer that stays in the processor's cache, which is as quick as reading can be.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests" / "benchmarks")]

from resident_memory import Memory  # noqa: E402

from policies.contracts.outputs import checked_update, take_update  # noqa: E402
from policies.contracts.weights import canonical_bytes  # noqa: E402
from researcher.strategies import ClientUpdate, FedAvg  # noqa: E402

_BUFFER_BYTES = 1 << 20


def main() -> None:
    """Measures and prints the result."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        print(json.dumps(measure(Path(folder) / "update", options.megabytes, options.updates)))


def measure(file: Path, megabytes: int, updates: int) -> dict[str, object]:
    """Seconds of averaging and of reading `updates` times a file of that size, and the most memory that it took."""
    shapes = _shapes(megabytes)
    _write(file, shapes)
    before = [_timed(read, file, updates) for read in (_into_new_memory, _into_one_buffer)]
    strategy = FedAvg()
    state = strategy.init({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    memory = Memory(os.getpid())
    memory.reset()
    begun = time.monotonic()
    after = strategy.apply(state, _updates(file, shapes, updates))
    seconds, peak = time.monotonic() - begun, memory.peak()
    expected = take_update(file, shapes, max_bytes=file.stat().st_size)
    if any(not np.allclose(after.weights[name], array, rtol=1e-6) for name, array in expected.items()):
        raise ValueError("The mean of equal updates is another one.")
    afterwards = [_timed(read, file, updates) for read in (_into_new_memory, _into_one_buffer)]
    new, one = (statistics.mean(pair) for pair in zip(before, afterwards, strict=True))
    return {
        "updates": updates,
        "megabytes": megabytes,
        "seconds": round(seconds, 2),
        "peak_rss_mb": round(peak),
        "reading_seconds": round(new, 2),
        "reading_into_one_buffer_seconds": round(one, 2),
        "times_reading": round(seconds / new, 2),
        "times_reading_into_one_buffer": round(seconds / one, 2),
        "page_cache": "warm",
    }


def _updates(file: Path, shapes: dict[str, tuple[int, ...]], updates: int) -> Iterator[ClientUpdate]:
    size = file.stat().st_size
    for number in range(updates):
        yield ClientUpdate(f"hospital_{number}", checked_update(file, shapes, max_bytes=size), 1.0 + number)


def _shapes(megabytes: int) -> dict[str, tuple[int, ...]]:
    """Of a model with one large array and some small ones, as classifiers have."""
    values = megabytes * 250_000
    return {"body.weight": (values // 2000, 1000), "head.weight": (values // 2000, 996), "head.bias": (values // 500,)}


def _write(file: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    random = np.random.default_rng(0)
    file.write_bytes(
        canonical_bytes({name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()})
    )


def _into_new_memory(file: Path, times: int) -> None:
    for _ in range(times):
        content = np.fromfile(file, np.uint8)
        del content


def _into_one_buffer(file: Path, times: int) -> None:
    buffer = bytearray(_BUFFER_BYTES)
    for _ in range(times):
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                continue


def _timed(read: Callable[[Path, int], None], file: Path, times: int) -> float:
    begun = time.monotonic()
    read(file, times)
    return time.monotonic() - begun


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=100, help="how many client updates")
    parser.add_argument("--megabytes", type=int, default=100, help="of each")
    parser.add_argument("--folder", type=Path, help="where the file lies meanwhile; the system's temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
