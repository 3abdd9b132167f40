"""A submitted code request as the researcher keeps it: which one it is at which datasite, and nothing of any data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CodeRequest:
    """A submitted request: its identifier at the datasite, the name of its stub, and the stub's identifier there."""

    request_id: str
    function: str
    code_id: str
