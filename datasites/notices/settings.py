"""Settings of notices: their ways out of the console, and from when on something is worth one.

Secrets stand in private files that the settings name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self
from urllib.parse import urlsplit

from policies.errors import ConfigError
from policies.settings import setting
from policies.validate import Checks

MAIL_SECURITY = ("starttls", "tls", "none")
MOST_ADDRESSES = 20
_ADDRESS = re.compile(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,190}")
_checks = Checks(ConfigError)


@dataclass(frozen=True)
class NoticeSettings:
    """The table [notices]: without a `mail_host` and a `webhook_url`, notices stay in the console."""

    link: str = setting("Address of the console that a notice points to; none if empty.", default="")
    low_budget_share: float = setting(
        "Share of a dataset's epsilon below which what is left is called low.", default=0.1
    )
    certificate_days: int = setting("Days before its end at which a researcher's certificate is named.", default=14)
    mail_host: str = setting("The hospital's mail server; no mail is sent if empty.", default="")
    mail_port: int = setting("TCP port of the mail server.", default=587)
    mail_security: str = setting(
        "How the way to the mail server is encrypted: starttls, tls, or none on loopback.",
        default="starttls",
        choices=MAIL_SECURITY,
    )
    mail_from: str = setting("The sender's address.", default="")
    mail_to: tuple[str, ...] = setting("Addresses of the hospital's people that get notices.", default=())
    mail_user: str = setting("Account at the mail server; no sign-in if empty.", default="")
    mail_password_file: str = setting("File, readable by the datasite's account alone, with its password.", default="")
    webhook_url: str = setting("Where notices are posted as JSON: https, or http on loopback.", default="")
    webhook_secret_file: str = setting(
        "File, readable by the datasite's account alone, with the secret that posts are signed with.", default=""
    )
    authority_file: str = setting(
        "Certificate (PEM) of the authority that mail server and webhook are known by; the system's if empty.",
        default="",
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "mail_to", tuple(self.mail_to) if isinstance(self.mail_to, list | tuple) else ())
        for one in fields(self):
            if one.name not in ("low_budget_share", "certificate_days", "mail_port", "mail_to"):
                _checks.text(f"notices.{one.name}", getattr(self, one.name), most=500)
        share = _checks.number("notices.low_budget_share", self.low_budget_share, low=0, high=1)
        object.__setattr__(self, "low_budget_share", share)
        _checks.integer("notices.certificate_days", self.certificate_days, low=1, high=825)
        _checks.integer("notices.mail_port", self.mail_port, low=1, high=65_535)
        _checks.choice("notices.mail_security", self.mail_security, MAIL_SECURITY)
        self._check_mail()
        if self.webhook_url:
            _check_address("webhook_url", self.webhook_url)
            _need("webhook_secret_file", self.webhook_secret_file, "posts are signed")
        if self.link:
            _check_address("link", self.link)

    def _check_mail(self) -> None:
        if not self.mail_host:
            return
        if self.mail_security == "none" and not _is_loopback(self.mail_host):
            raise ConfigError(
                "notices.mail_security 'none' is for a mail server on loopback alone. Take starttls or tls."
            )
        if not 1 <= len(self.mail_to) <= MOST_ADDRESSES:
            raise ConfigError(f"notices.mail_to needs 1 to {MOST_ADDRESSES} addresses, it has {len(self.mail_to)}.")
        for address in (self.mail_from, *self.mail_to):
            if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
                raise ConfigError(
                    f"notices.mail_from and mail_to need addresses such as it@hospital.org, got {address!r}."
                )
        if self.mail_user:
            _need("mail_password_file", self.mail_password_file, "mail_user signs in")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, where: str) -> Self:
        """Reads the table.

        Raises:
            ConfigError: An unknown setting, or a value out of range.
        """
        known = [one.name for one in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise ConfigError(f"Unknown setting {unknown[0]!r} in {where}; known are {', '.join(known)}.")
        return cls(**values)


def _need(name: str, value: str, why: str) -> None:
    if not value:
        raise ConfigError(f"notices.{name} is missing: {why}. Name a private file.")


def _check_address(name: str, url: str) -> None:
    parts = urlsplit(url)
    open_way = parts.scheme == "http" and _is_loopback(parts.hostname or "")
    if not parts.hostname or parts.username or parts.password or (parts.scheme != "https" and not open_way):
        raise ConfigError(f"notices.{name} must be an https address, or http on loopback, without a password in it.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
