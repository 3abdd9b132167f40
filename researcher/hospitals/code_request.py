"""A submitted code request as the researcher keeps it: which one it is at which datasite, and nothing of any data."""

from __future__ import annotations

import re
from dataclasses import dataclass

from policies.errors import ConfigError

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True)
class CodeRequest:
    """A submitted request: its identifier at the datasite, the name of its stub, and the stub's identifier there.

    Where a request was found again after its answer was lost, the stub's identifier is `not-told`: nothing asks by it.

    They stand in addresses that the researcher signs, and in a study's folder, which somebody else may have written.

    Raises:
        ConfigError: One of them is no plain name.
    """

    request_id: str
    function: str
    code_id: str

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if not isinstance(value, str) or not _PLAIN.fullmatch(value):
                raise ConfigError(
                    f"No code request has an identifier such as {str(value)!r:.80}. Submit the study anew."
                )
