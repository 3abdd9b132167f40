"""Connecting in the terminal: how many hospitals are asked is said before anything of it takes time."""

from __future__ import annotations

from collections.abc import Sequence

from policies.terminal.printing import say
from researcher.hospitals.credentials import once_each, read_credentials
from researcher.hospitals.federation import Federation


def connect(files: Sequence[str], *, enough: int | None, begun: bool, announced: bool) -> Federation:
    """Connects to the hospitals of these credentials files.

    Args:
        files: Files or patterns.
        enough: As of `Federation.connect`.
        begun: Likewise.
        announced: Whether to say first, beside what the command prints, how many hospitals are asked.

    Raises:
        WanwuError: As `Federation.connect`; what is wrong with the files themselves before anything is said.
    """
    if announced:
        number = len(once_each(read_credentials(files)))
        say(f"Connecting to {number} hospital{'s' * (number != 1)} ...", to_errors=True)
    return Federation.connect(files, enough=enough, begun=begun)
