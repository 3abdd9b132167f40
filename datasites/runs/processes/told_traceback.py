"""Tracebacks in lines, with the text of their exceptions: of a rehearsal alone, which has read nothing but the mock."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from policies.answers.rehearsals import MAX_LINE, MAX_LINES
from policies.errors import WanwuError

_FOLDERS = re.compile(r"(?<![\w.])(?:/[\w.+@~ -]+)+/(?=[\w.])")
_LIBRARIES = ("site-packages/", "dist-packages/", "datasites/", "policies/")


def told_traceback(error: BaseException) -> list[str]:
    """An exception as lines of printable ASCII, its causes first, the middle left out where there are too many.

    Guarantees:
        No folder of the machine is named: of a file, what follows its library or its own name alone. Of the platform's
        errors it has the public text alone.
    """
    lines: list[str] = []
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    for one in reversed(chain):
        lines += [_place(frame) for frame in traceback.extract_tb(one.__traceback__)]
        text = f"{one.code}: {one.public}" if isinstance(one, WanwuError) else str(one)
        lines += [_plain(line) for line in f"{type(one).__name__}: {text}".splitlines()]
    if len(lines) > MAX_LINES:
        half = MAX_LINES // 2
        lines = [*lines[: half - 1], "...", *lines[-half:]]
    return lines


def _place(frame: traceback.FrameSummary) -> str:
    """Where a frame stands: file below its library, line, function, and the line's text."""
    file = frame.filename.replace("\\", "/")
    inner = next((file[file.rindex(root) :] for root in _LIBRARIES if f"/{root}" in file), Path(file).name)
    for root in _LIBRARIES[:2]:
        inner = inner.removeprefix(root)
    return _plain(f"  {inner}:{frame.lineno} in {frame.name}: {frame.line or ''}".rstrip(": "))


def _plain(text: str) -> str:
    named = _FOLDERS.sub("", text)
    return "".join(sign if " " <= sign <= "~" else "?" for sign in named)[:MAX_LINE]
