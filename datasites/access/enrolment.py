"""Enrolment: the hospital's certificate authority, and the list of certificates with which the datasite is reached.

The authority's key stays in the state folder. A certificate counts only while it stands in the list, neither revoked
nor expired, whatever its own text says; revoking takes effect on open connections too.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature

from datasites.access import certificates
from datasites.access.certificates import Certified
from datasites.access.people import ResearcherRow
from datasites.files.private_file import write_private
from datasites.files.private_folder import sync_folder
from datasites.files.state_folder import StateFolder
from policies.errors import CertificateRefused, ConfigError

_UNKNOWN = "This certificate is not on the hospital's list. Ask the hospital to enrol you."


@dataclass(frozen=True)
class Entry:
    """One certificate that was given out, as the list remembers it.

    Attributes:
        serial: Its serial number, hexadecimal, without leading zeros.
        email: Whose it is.
        issued: When, ISO 8601 in UTC.
        expires: Until when, ISO 8601 in UTC.
        revoked: Since when it counts no more; None while it may count.
    """

    serial: str
    email: str
    issued: str
    expires: str
    revoked: str | None = None

    def state(self, now: datetime) -> str:
        """`valid`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "valid" if now < datetime.fromisoformat(self.expires) else "expired"


@dataclass(frozen=True)
class Peer:
    """Whose certificate a connection was made with."""

    email: str
    serial: str


# Set for the time of one request by the researchers' port; there is none for the datasite's own work. PySyft's routes
# hand its server a call without the request that it came in, so the gate in front of it has no other way to know.
current_peer: ContextVar[Peer | None] = ContextVar("current_peer", default=None)


class Enrolment:
    """The authority of one datasite and its list of certificates."""

    def __init__(
        self, state: StateFolder, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC), days: int = 90
    ) -> None:
        self._folder, self._clock, self._days = state.identity, clock, days
        self._lock = threading.Lock()
        self._entries = _read_list(self._list_file)
        self._authority = _load(self._folder, "authority") or self._make_authority(state.name)
        self._on_revoked: list[Callable[[frozenset[str]], None]] = []

    @property
    def authority_pem(self) -> str:
        """The authority's certificate: what a researcher recognises the hospital by."""
        return self._authority.certificate_pem

    @property
    def server_files(self) -> tuple[Path, Path]:
        """Certificate and key of the datasite's own port."""
        return self._folder / "server.crt", self._folder / "server.key"

    def prepare_server(self, names: tuple[str, ...]) -> datetime:
        """Makes the server's certificate, or makes it anew for other names or when its time is nearly over.

        An authority whose time is nearly over is renewed with its key: credentials that name the old one hold to its
        end, and a researcher is enrolled again long before that.

        Returns:
            Until when it is valid.
        """
        known = _load(self._folder, "server")
        now = self._clock()
        if certificates.nearly_over(self._authority.certificate, now=now):
            self._authority = certificates.renew_authority(self._authority, now=now)
            _store(self._folder, "authority", self._authority)
        fits = known and certificates.names_of(known.certificate) == set(names)
        signed = known and _signed_by(known, self._authority)
        if known is None or not fits or not signed or certificates.nearly_over(known.certificate, now=now):
            known = certificates.issue_server(self._authority, names, now=now)
            _store(self._folder, "server", known)
        return known.certificate.not_valid_after_utc

    def issue(self, email: str) -> Certified:
        """Gives out a certificate. It is on the list, on disk, before anyone can hold it; earlier ones run out.

        Guarantees:
            It lets in as a client only, as this address only, and no longer than the configured number of days.
        """
        now = self._clock()
        made = certificates.issue_researcher(self._authority, email, days=self._days, now=now)
        expires = made.certificate.not_valid_after_utc
        entry = Entry(_hex(made.certificate.serial_number), email, _iso(now), _iso(expires))
        with self._lock:
            self._write({**self._entries, entry.serial: entry})
        return made

    def revoke(self, email: str) -> int:
        """Ends all certificates of an address, and the connections made with them. Returns how many were valid.

        Guarantees:
            After the return no certificate that this address has ever had lets in, also after a restart.
        """
        now = self._clock()
        with self._lock:
            ended = {
                serial: replace(entry, revoked=_iso(now))
                for serial, entry in self._entries.items()
                if entry.email == email and entry.revoked is None
            }
            count = sum(self._entries[serial].state(now) == "valid" for serial in ended)
            if ended:
                self._write({**self._entries, **ended})
        for tell in self._on_revoked:
            tell(frozenset(ended))
        return count

    def on_revoked(self, tell: Callable[[frozenset[str]], None]) -> None:
        """Has `tell` called, in the revoking thread, with the serial numbers that were ended."""
        self._on_revoked.append(tell)

    def state_of(self, peer: Peer) -> str:
        """`valid`, `expired`, `revoked`, or `unlisted` where the list knows no such certificate of that address."""
        entry = self._entries.get(peer.serial)
        if entry is None or entry.email != peer.email:
            return "unlisted"
        return entry.state(self._clock())

    def check(self, peer: Peer) -> None:
        """Returns if the peer's certificate counts now.

        Guarantees:
            It is on the list under the peer's one address, and neither revoked nor expired.

        Raises:
            CertificateRefused: It does not.
        """
        state = self.state_of(peer)
        if state == "unlisted":
            raise CertificateRefused(_UNKNOWN)
        if state != "valid":
            raise CertificateRefused(
                f"This certificate is {state}. Ask the hospital for a new credentials file, and put it in the place of "
                "the old one."
            )

    def check_own(self, email: str) -> None:
        """Returns if the request being served came with a valid certificate of this address itself.

        Raises:
            CertificateRefused: With another's, without one, or with one that was ended meanwhile.
        """
        peer = current_peer.get()
        if peer is None or peer.email != email:
            raise CertificateRefused("This certificate belongs to another account. Use your own credentials file.")
        self.check(peer)

    def known(self, email: str) -> bool:
        """Whether this address has ever been given a certificate."""
        return any(entry.email == email for entry in self._entries.values())

    def since(self, email: str) -> str:
        """When this address was first given a certificate, ISO 8601; empty where it never was."""
        return min((entry.issued for entry in self._entries.values() if entry.email == email), default="")

    def in_good_standing(self, email: str, since: str) -> bool:
        """Whether this address has a valid certificate, and none of its certificates was revoked since a moment."""
        now, own = self._clock(), [entry for entry in self._entries.values() if entry.email == email]
        revoked = any(entry.revoked is not None and entry.revoked >= since for entry in own)
        return not revoked and any(entry.state(now) == "valid" for entry in own)

    def people(self) -> list[ResearcherRow]:
        """One row for each address: the state of its newest certificate, and the days that this one is still valid."""
        now = self._clock()
        newest = {entry.email: entry for entry in sorted(self._entries.values(), key=lambda entry: entry.issued)}
        return [
            ResearcherRow(
                email=entry.email,
                state=entry.state(now),
                issued=entry.issued,
                expires=entry.expires,
                revoked=entry.revoked,
                days_left=max((datetime.fromisoformat(entry.expires) - now).days, 0) if not entry.revoked else 0,
            )
            for entry in sorted(newest.values(), key=lambda entry: entry.email)
        ]

    @property
    def _list_file(self) -> Path:
        return self._folder / "enrolled.json"

    def _make_authority(self, name: str) -> Certified:
        if self._entries:
            raise ConfigError("identity/authority.crt is missing, but it has given out certificates. Restore it.")
        made = certificates.make_authority(name, now=self._clock())
        _store(self._folder, "authority", made)
        return made

    def _write(self, entries: dict[str, Entry]) -> None:
        """Writes the list whole, then takes it as the one that counts."""
        write_private(self._list_file, json.dumps([asdict(entry) for entry in entries.values()], indent=2))
        sync_folder(self._folder)
        self._entries = entries


def named_in(peer_certificate: Mapping[str, Any] | None) -> Peer:
    """Whom a certificate names, listed or not.

    Args:
        peer_certificate: As `ssl.SSLSocket.getpeercert` gives it, after its chain was verified.
    """
    shown = peer_certificate or {}
    names = [value for kind, value in shown.get("subjectAltName", ()) if kind == "email"]
    return Peer(names[0] if len(names) == 1 else "", str(shown.get("serialNumber", "")).lstrip("0"))


def _read_list(file: Path) -> dict[str, Entry]:
    if not file.exists():
        return {}
    try:
        entries = [Entry(**values) for values in json.loads(file.read_text())]
        for entry in entries:
            entry.state(datetime.now(UTC))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"The list of certificates {file.name} cannot be read. Restore it from a backup; without it nobody can be "
            "told from somebody revoked.",
            private=str(error),
        ) from error
    return {entry.serial: entry for entry in entries}


def _load(folder: Path, name: str) -> Certified | None:
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    if not certificate.exists():
        return None
    try:
        return Certified.from_pem(certificate.read_bytes(), key.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{certificate.name} and {key.name} in identity/ cannot be read together. Restore both from a backup.",
            private=str(error),
        ) from error


def _store(folder: Path, name: str, made: Certified) -> None:
    """Writes the key, then the certificate: a crash between leaves a key that the next start replaces."""
    if name == "server":
        with contextlib.suppress(FileNotFoundError):
            (folder / "server.crt").unlink()
    write_private(folder / f"{name}.key", made.key_pem)
    write_private(folder / f"{name}.crt", made.certificate_pem)
    sync_folder(folder)


def _signed_by(made: Certified, authority: Certified) -> bool:
    try:
        made.certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _hex(serial: int) -> str:
    return f"{serial:X}"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
