"""Digests as a terminal shows them: as short as git's. The whole ones are in what `--json` prints."""

from __future__ import annotations

import re

_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def shortened(text: str) -> str:
    """The text, each SHA-256 in it as its first twelve digits."""
    return _DIGEST.sub(r"\1…", text)
