"""Several processes that read pictures, fed with tasks by this one. A picture that ends one is named and left out."""

from __future__ import annotations

import os
import pickle
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from datasites.ingestion.picture_reading import Reading, Target, Task
from datasites.ingestion.reader_process import READY
from datasites.ingestion.reasons import DECODER_ENDED
from policies.errors import DataError

_BATCH = 16
_AHEAD = 32  # tasks that a process holds beyond the batch it gets: few enough that neither pipe ever fills
_LEAST_EACH = 64  # fewer pictures are not worth another process
_GATHERING_SECONDS = 0.01
_MOST_ENDED = 100  # processes: beyond that it is not the pictures
_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # Of the C library: given back after each picture, memory would have to be got and cleared for the next again.
    "MALLOC_TRIM_THRESHOLD_": str(1 << 26),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
}


class ReaderProcesses:
    """Reads pictures in several processes, one thread each.

    Args:
        processes: The most; none is started that would have too little to do.
        log: Where what decoders print goes; it is private.
    """

    def __init__(self, processes: int, log: Path) -> None:
        self._processes, self._log = processes, log

    def __call__(self, tasks: Sequence[Task], target: Target) -> Iterator[Reading]:
        """Yields what became of each picture, in the order in which they are done.

        Raises:
            DataError: The processes cannot be started, or one after the other ends.
        """
        waiting, ended = deque(tasks), 0
        count = max(1, min(self._processes, len(waiting) // _LEAST_EACH))
        with ExitStack() as stack, selectors.DefaultSelector() as selector:

            def start() -> None:
                reader = stack.enter_context(_Reader(target, self._log))
                selector.register(reader, selectors.EVENT_READ)
                reader.feed(waiting)

            for _ in range(count if waiting else 0):
                start()
            while selector.get_map():
                for key, _ in selector.select():
                    reader: Any = key.fileobj
                    yield from reader.readings()
                    if not reader.ended:
                        reader.feed(waiting)
                        continue
                    selector.unregister(reader)
                    if reader.outstanding:
                        ended += 1
                        yield self._blamed(reader, ended)
                        waiting.extendleft(reversed(reader.outstanding))
                    reader.close()
                    if waiting:
                        start()
                time.sleep(_GATHERING_SECONDS)

    def _blamed(self, reader: _Reader, ended: int) -> Reading:
        """The picture that a process was at when it ended.

        Raises:
            DataError: It never began, or too many have ended.
        """
        status = reader.status()
        if not reader.ready or ended > _MOST_ENDED:
            raise DataError(
                "The processes that read pictures end by themselves. Start with --processes 1, and look at the memory "
                "that is free.",
                private=f"exit status {status}; {_end_of(self._log)}",
            )
        task = reader.outstanding.popleft()
        told = f"signal {-status}" if status < 0 else f"exit status {status}"
        return Reading(task.number, reason=DECODER_ENDED, private=told)


class _Reader:
    """One reading process, and the tasks that it has."""

    def __init__(self, target: Target, log: Path) -> None:
        self.outstanding: deque[Task] = deque()
        self.ready = self.ended = False
        self._text = b""
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "datasites.ingestion.reader_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=descriptor,
                env={
                    **os.environ,
                    **_ENVIRONMENT,
                    "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
                },
            )
        finally:
            os.close(descriptor)
        self._send(target)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """What it answers on."""
        return self._stdout.fileno()

    @property
    def _stdout(self) -> Any:
        return self._process.stdout

    def feed(self, waiting: deque[Task]) -> None:
        """Gives it tasks while it has few; closes its input once there are none."""
        while waiting and len(self.outstanding) <= _AHEAD:
            batch = [waiting.popleft() for _ in range(min(_BATCH, len(waiting)))]
            self.outstanding.extend(batch)
            self._send(batch)
        if not waiting and not self.outstanding:
            self._close_input()

    def readings(self) -> Iterator[Reading]:
        """What it has told since it was asked last."""
        content = os.read(self.fileno(), 1 << 16)
        self.ended = not content
        *lines, self._text = (self._text + content).split(b"\n")
        for line in lines:
            if not self.ready and line + b"\n" == READY:
                self.ready = True
                continue
            try:
                reading = Reading.from_line(line)
            except (ValueError, TypeError):
                reading = None
            if reading is None or not self.outstanding or reading.number != self.outstanding[0].number:
                self._process.kill()  # it has gone wrong; what it was at is to blame
                self.ended = True
                return
            self.outstanding.popleft()
            yield reading

    def status(self) -> int:
        """Its exit status, once it has ended."""
        return self._process.wait()

    def close(self) -> None:
        """Ends it, whatever it is at."""
        self._close_input()
        if self._process.poll() is None and self.outstanding:
            self._process.kill()
        self._process.wait()
        self._stdout.close()

    def _close_input(self) -> None:
        try:
            self._stdin.close()
        except BrokenPipeError:
            return

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    def _send(self, value: object) -> None:
        try:
            pickle.dump(value, self._stdin)
            self._stdin.flush()
        except BrokenPipeError:
            return  # it has ended, which its answers tell


def _end_of(log: Path) -> str:
    try:
        return log.read_text(errors="replace")[-500:]
    except OSError:
        return "no log"
