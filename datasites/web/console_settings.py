"""Settings of the console: where it listens, by whose certificate, and how long its sessions last."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields

from policies.errors import ConfigError
from policies.settings import setting
from policies.validate import Checks

_checks = Checks(ConfigError)


@dataclass(frozen=True, kw_only=True)
class ConsoleSettings:
    """A datasite's settings of its console; see `datasites.config.DatasiteConfig`."""

    console_host: str = setting(
        "Address that the console listens on; any but loopback takes console_certificate and console_key.",
        default="127.0.0.1",
    )
    console_port: int = setting(
        "TCP port of the console; 0 takes any free one and writes it to identity/console.json.", default=0
    )
    console_certificate: str = setting(
        "File with the hospital's own certificate for the console and those that issued it, PEM; empty for no TLS.",
        default="",
    )
    console_key: str = setting("File with the private key of that certificate, PEM, without a password.", default="")
    console_idle_minutes: int = setting("Minutes without use after which a session of the console ends.", default=15)
    console_session_hours: int = setting("Hours after which a session of the console ends, used or not.", default=8)
    console_openid_issuer: str = setting(
        "Address of the hospital's OpenID Connect provider, by which people may sign in; empty for none.",
        default="",
    )
    console_openid_client: str = setting("What the provider calls this datasite (client_id).", default="")
    console_openid_secret: str = setting(
        "File with the secret that the provider shares with this datasite.", default=""
    )
    console_openid_claim: str = setting(
        "Which claim of the provider's tokens holds the name of a person's account.", default="preferred_username"
    )

    def __post_init__(self) -> None:
        """Checks each value.

        Raises:
            ConfigError: One is of another kind or range, or the console would listen elsewhere than on loopback
                without TLS.
        """
        _checks.integer("console_port", self.console_port, low=0, high=65_535)
        _checks.integer("console_idle_minutes", self.console_idle_minutes, low=1, high=480)
        _checks.integer("console_session_hours", self.console_session_hours, low=1, high=24)
        for one in fields(ConsoleSettings):
            if isinstance(one.default, str) and not isinstance(getattr(self, one.name), str):
                raise ConfigError(f"{one.name} must be a text, got {getattr(self, one.name)!r}.")
        if bool(self.console_certificate) != bool(self.console_key):
            raise ConfigError("console_certificate and console_key belong together. Set both, or none.")
        openid = (self.console_openid_issuer, self.console_openid_client, self.console_openid_secret)
        if any(openid) and not (all(openid) and self.console_openid_claim):
            raise ConfigError(
                "console_openid_issuer, console_openid_client, console_openid_secret and console_openid_claim belong "
                "together. Set all of them, or none."
            )
        if not self.console_certificate and not _is_loopback(self.console_host):
            raise ConfigError(
                f"The console would listen on {self.console_host!r} without TLS: passwords would cross the network in "
                "clear. Set console_certificate and console_key, or console_host to 127.0.0.1."
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
