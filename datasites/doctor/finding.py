"""Findings of the doctor's checks. They are the hospital's own: they may name its paths, ports and processes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.state.lock import is_running
from policies.errors import ConfigError

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Attributes:
        check: What was looked at.
        level: `ok`, `warning` (the datasite works, someone should look) or `problem` (it does not, or must not).
        text: What was found.
        advice: What to do; empty where nothing is.
    """

    check: str
    level: str
    text: str
    advice: str = ""


@dataclass(frozen=True)
class ExaminedDatasite:
    """The datasite that is looked at."""

    state: StateFolder

    @cached_property
    def config(self) -> DatasiteConfig:
        """Its settings; raises ConfigError where they cannot be read."""
        return DatasiteConfig.from_toml(self.state.config)

    @cached_property
    def running(self) -> bool:
        """Whether it is being served now."""
        return is_running(self.state)

    @cached_property
    def console_port(self) -> int:
        """Where its console listens, or 0."""
        with contextlib.suppress(OSError, ValueError, LookupError, ConfigError):
            return int(json.loads(self.state.console.read_text())["url"].rsplit(":", 1)[1])
        return 0


Check = Callable[[ExaminedDatasite], Iterator[Finding]]
