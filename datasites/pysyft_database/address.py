"""An address of PySyft's database in PostgreSQL. It never holds a password, so it may stand in settings and errors."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from policies.errors import ConfigError

SCHEME = "postgresql"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_FOLDER = re.compile(r"/[A-Za-z0-9_./-]{0,90}")
_EXPECTED = (
    "pysyft_database must be empty, or an address such as postgresql://wanwu@db.hospital.org:5432/hospital_a or, for a "
    "Unix socket, postgresql://wanwu@/hospital_a?host=/run/postgresql."
)


@dataclass(frozen=True)
class DatabaseAddress:
    """Where a database is, and as whom it is opened.

    Attributes:
        user: The role.
        host: A name, an address, or the folder of a Unix socket.
        port: TCP port, or the number in the socket's name.
        database: The database's name.
    """

    user: str
    host: str
    port: int
    database: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads an address.

        Raises:
            ConfigError: It is none, or holds a password. The text is not repeated where it may hold one.
        """
        try:
            parts = urlsplit(text)
            port = 5432 if parts.port is None else parts.port
            query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError as error:
            raise ConfigError(_EXPECTED) from error
        if parts.password is not None or any("pass" in name.lower() for name, _ in query):
            raise ConfigError(
                "pysyft_database holds a password, which everybody who reads the settings would read. Take it out, and "
                "write it into the file identity/database-password of the state folder, mode 0600."
            )
        folders = [value for name, value in query if name == "host"]
        host = folders[0] if len(query) == 1 and folders and not parts.hostname else parts.hostname or ""
        address = cls(parts.username or "", host, port, parts.path.removeprefix("/"))
        if parts.scheme != SCHEME or parts.fragment or (query and host not in folders) or not address._is_well_formed:
            raise ConfigError(_EXPECTED)
        return address

    @property
    def is_local(self) -> bool:
        """Whether what is sent there stays on this machine."""
        if self.host.startswith("/"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        if self.host.startswith("/"):
            return f"{SCHEME}://{self.user}@:{self.port}/{self.database}?host={self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SCHEME}://{self.user}@{host}:{self.port}/{self.database}"

    @property
    def _is_well_formed(self) -> bool:
        if not self.port or not _NAME.fullmatch(self.user) or not _NAME.fullmatch(self.database):
            return False
        return bool((_FOLDER if self.host.startswith("/") else _HOST).fullmatch(self.host)) or _is_address(self.host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
