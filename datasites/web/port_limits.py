"""Limits of the researchers' port, for one researcher and for all together: connections, requests, time."""

from __future__ import annotations

from dataclasses import dataclass, fields

from policies.errors import ConfigError
from policies.validate import Checks


@dataclass(frozen=True)
class PortLimits:
    """The most that peers may take of the port; each stands for the setting of the same name.

    Attributes:
        max_connections: Open connections together.
        max_connections_per_researcher: Open connections of one researcher.
        max_requests_at_once_per_researcher: Requests of one researcher that are worked on at once; more wait, and
            those that wait for a run to change do not count.
        max_requests_per_second_per_researcher: Requests of one researcher that begin in a second; more wait.
        head_seconds: How long the head of a request may take to arrive.
        min_upload_bytes_per_second: How fast the body of a request must arrive.
    """

    max_connections: int = 512
    max_connections_per_researcher: int = 32
    max_requests_at_once_per_researcher: int = 8
    max_requests_per_second_per_researcher: int = 20
    head_seconds: int = 10
    min_upload_bytes_per_second: int = 4096

    def __post_init__(self) -> None:
        """Checks each value.

        Raises:
            ConfigError: One is no whole number, or out of range.
        """
        checks = Checks(ConfigError)
        for limit in fields(self):
            checks.integer(limit.name, getattr(self, limit.name), low=1, high=100_000)
