"""Credentials: one file that a hospital's admin hands to a researcher, for one account at one datasite.

It holds a password and a private key. It stays with the researcher, and nothing in it is printed.
"""

from __future__ import annotations

import contextlib
import glob
import ipaddress
import json
import os
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from cryptography import x509

from policies.errors import CertificateRefused, ConfigError
from policies.untrusted_text import shown
from policies.validate import Checks

_LABEL = "[A-Za-z0-9-]{1,63}"
_URL = re.compile(
    rf"https://(?:(?P<name>{_LABEL}(?:\.{_LABEL})*\.?)|\[(?P<six>[0-9A-Fa-f:.]{{2,45}})\])(?::(?P<port>[0-9]{{1,5}}))?/?"
)
_MAX_PORT, _LONGEST_NAME = 65535, 253


def _not_from_a_hospital(text: str) -> ConfigError:
    return ConfigError(f"In a credentials file: {text} Ask the hospital for the file again.")


@dataclass(frozen=True)
class Credentials:
    """Credentials of one account at one datasite.

    Attributes:
        datasite: The datasite's name; files are named after it.
        url: Where it is reached, https.
        email: The account.
        password: The account's.
        authority: Certificate of the hospital's authority, PEM: what the datasite is recognised by.
        certificate: The researcher's certificate, PEM.
        key: Its private key, PEM.
    """

    datasite: str
    url: str
    email: str
    password: str
    authority: str
    certificate: str
    key: str

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, str):
                raise ConfigError(f"{name} in a credentials file must be a text. Ask the hospital for the file again.")
        Checks(_not_from_a_hospital).name("datasite", self.datasite)
        if not self.url.startswith("https://"):
            raise ConfigError(
                f"The credentials for '{self.datasite}' are for {self.url}, without TLS. Ask the hospital for new ones."
            )
        if not _is_address(self.url):
            raise ConfigError(
                f"The credentials for '{self.datasite}' are for {shown(self.url, most=200)}, which is no address such "
                "as https://datasite.hospital.org:8081. Ask the hospital for the file again."
            )

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Reads a credentials file.

        Args:
            path: The file that the hospital's admin handed over.

        Raises:
            ConfigError: It is missing or may not be read, is no credentials file, or one of a version without
                certificates.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8-sig"))  # an editor may have put a mark before it
        except FileNotFoundError as error:
            raise ConfigError(
                f"There is no credentials file {path}. Give the file that a hospital handed over; for the demo's "
                "hospitals, start launch_datasites.py first, in this folder."
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"{path} is not UTF-8. Ask the hospital for the file again, or save it as UTF-8."
            ) from error
        except IsADirectoryError as error:
            raise ConfigError(
                f"{path} is a folder, and credentials are files. Name the file in it, or all of them in quotes: "
                f"'{path}/*.json'."
            ) from error
        except OSError as error:
            raise ConfigError(
                f"The credentials file {path} cannot be read ({error.strerror}). Run the command as whom it belongs "
                "to, or give a file that you may read."
            ) from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} is not a credentials file of a datasite.") from error
        if isinstance(values, dict) and "password" in values and "certificate" not in values:
            raise ConfigError(
                f"{path} is of an older version, without a certificate. Ask the hospital to enrol you anew: "
                "python -m datasites enrol."
            )
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"{path} is not a credentials file of a datasite.") from error

    def check_time(self, *, now: datetime | None = None) -> None:
        """Returns if the certificate is valid by this machine's clock.

        Args:
            now: The time to take in place of the clock's.

        Raises:
            CertificateRefused: It has expired, or its time has not begun.
            ConfigError: It is not a certificate.
        """
        now = now or datetime.now(UTC)
        try:
            read = x509.load_pem_x509_certificate(self.certificate.encode())
        except ValueError as error:
            raise ConfigError(
                f"The certificate in the credentials for '{self.datasite}' cannot be used. Ask the hospital for the "
                "file again."
            ) from error
        if now >= read.not_valid_after_utc:
            raise CertificateRefused(
                f"The certificate for '{self.datasite}' has expired on {read.not_valid_after_utc:%Y-%m-%d}. Ask the "
                "hospital for a new credentials file, and put it in the place of the old one."
            )
        if now < read.not_valid_before_utc:
            raise CertificateRefused(
                f"The certificate for '{self.datasite}' is valid only from {read.not_valid_before_utc:%Y-%m-%d %H:%M} "
                "UTC on. Check this machine's clock."
            )

    def __repr__(self) -> str:
        return f"Credentials(datasite={self.datasite!r}, url={self.url!r}, email={self.email!r})"


def read_credentials(credentials: str | Path | Iterable[str | Path | Credentials]) -> Iterator[Credentials]:
    """The credentials in files, or in all that fit a pattern.

    Raises:
        ConfigError: No such file, or not a credentials file.
    """
    given: list[str | Path | Credentials] = [credentials] if isinstance(credentials, str | Path) else list(credentials)
    for one in given:
        if isinstance(one, Credentials):
            yield one
            continue
        files = sorted(glob.glob(str(one)))  # noqa: PTH207 - a pattern may be absolute
        if not files:
            _check_searched(str(one))
        for file in files or [str(one)]:
            yield Credentials.from_file(Path(file))


class CredentialsFiles:
    """Files that credentials came from: looked into again where a hospital does not take what stood there before."""

    def __init__(self, came_from: Iterable[str]) -> None:
        """Looks into nothing yet.

        Args:
            came_from: Files, or patterns of some, as they can be found from any folder.
        """
        self._came_from = tuple(came_from)

    def another(self, of: Credentials, *, besides: Container[Credentials]) -> Credentials | None:
        """Other credentials of the same account at the same datasite; None where none lie there.

        What cannot be read is passed over: a file may just be written.

        Args:
            of: Whose account, where.
            besides: Those that are known.
        """
        files = sorted({file for one in self._came_from for file in glob.glob(one) or [one]})  # noqa: PTH207
        for file in files:
            with contextlib.suppress(ConfigError):
                found = Credentials.from_file(Path(file))
                if (found.datasite, found.email) == (of.datasite, of.email) and found not in besides:
                    return found
        return None


def _check_searched(pattern: str) -> None:
    """Refuses a pattern that fits nothing where folders that it leads into are closed to whoever asks.

    Raises:
        ConfigError: One is.
    """
    parts = Path(pattern).parts[:-1]
    for length in range(1, len(parts) + 1):
        for folder in sorted(glob.iglob(str(Path(*parts[:length])))):  # noqa: PTH207
            if Path(folder).is_dir() and not os.access(folder, os.R_OK | os.X_OK):
                raise ConfigError(
                    f"No credentials file {pattern} was found, and {folder} is closed to this account. Run the command "
                    "as whom it belongs to, or give credentials files that you may read."
                )


def once_each(credentials: Iterable[Credentials]) -> list[Credentials]:
    """All of them, if no two are for one datasite: it would be left to chance which account is used there."""
    found: dict[str, Credentials] = {}
    for one in credentials:
        if (other := found.setdefault(one.datasite, one)) is not one:
            raise ConfigError(
                f"Two credentials are for datasite '{one.datasite}', of {other.email} and of {one.email}. Give "
                "the file of one of them alone."
            )
    return list(found.values())


def _is_address(url: str) -> bool:
    """Whether it is https, one host and perhaps a port: all that a datasite writes, and nothing that goes elsewhere."""
    found = _URL.fullmatch(url)
    if found is None or not 0 < int(found["port"] or 443) <= _MAX_PORT:
        return False
    if found["name"]:
        return len(found["name"]) <= _LONGEST_NAME
    try:
        ipaddress.IPv6Address(found["six"])
    except ValueError:
        return False
    return True
