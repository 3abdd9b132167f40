"""Settings of PySyft's database: where it is, and by whose certificate. A password never stands in settings."""

from __future__ import annotations

from dataclasses import dataclass

from datasites.pysyft_database.address import DatabaseAddress
from policies.errors import ConfigError
from policies.settings import setting


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """A datasite's settings of PySyft's database; see `datasites.config.DatasiteConfig`."""

    pysyft_database: str = setting(
        "Where PySyft keeps accounts and requests: empty for a file in the state folder, or the hospital's PostgreSQL, "
        "postgresql://USER@HOST:PORT/DATABASE, without a password.",
        default="",
    )
    pysyft_database_authority: str = setting(
        "File with the certificate of the authority that PostgreSQL's server is known by, PEM; empty for a server on "
        "loopback or a Unix socket alone.",
        default="",
    )

    def check_database(self) -> None:
        """Checks both.

        Raises:
            ConfigError: One is no text, the address is none or holds a password, or what is sent there would cross
                the network in clear.
        """
        for name in ("pysyft_database", "pysyft_database_authority"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"{name} must be a text, got {type(getattr(self, name)).__name__}.")
        address = self.database_address
        if address is None and self.pysyft_database_authority:
            raise ConfigError("pysyft_database_authority is for a pysyft_database, which is empty. Set both, or none.")
        if address is not None and not address.is_local and not self.pysyft_database_authority:
            raise ConfigError(
                f"PySyft's database would be at {address.host!r} without TLS: accounts and requests would cross the "
                "network in clear. Set pysyft_database_authority to the file of the authority that issued the "
                "server's certificate."
            )

    @property
    def database_address(self) -> DatabaseAddress | None:
        """Where PostgreSQL is; None for the file in the state folder."""
        return DatabaseAddress.parse(self.pysyft_database) if self.pysyft_database else None
