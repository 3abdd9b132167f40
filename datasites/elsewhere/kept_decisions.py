"""Decisions that other hospitals shared, as this hospital's people brought them in. They stay here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from datasites.elsewhere.shared_decision import SignedBy, fingerprint, read_decision
from datasites.elsewhere.told_decisions import DecidedElsewhere, KnownHospital
from datasites.files.private_file import write_private
from policies.errors import ConfigError, ReceiptInvalid

MOST_KEPT = 1000


class KeptDecisions:
    """The folder of them: at most one of each hospital on a plan.

    Guarantees:
        A name stays with the key that it first came with, and a key with its name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()

    def add(self, text: str) -> DecidedElsewhere:
        """Keeps a decision, in the place of an earlier one of the same hospital on the same plan.

        Raises:
            ReceiptInvalid: It is none, is not what was signed, is older than what is kept, or has a name that came with
                another key or a key that came with another name.
            ConfigError: No more are kept, or it cannot be written.
        """
        signed = read_decision(text)
        told, name = signed.decision, _file_name(signed)
        with self._lock:
            files = tuple(self._folder.glob("*.json"))
            for other in self._read("*.json"):
                _check_pinned(other, signed)
                if _file_name(other) == name and other.decision.decided_on > told.decided_on:
                    raise ReceiptInvalid(f"There is a later decision of {told.hospital} on this plan already.")
            if len(files) >= MOST_KEPT and self._folder / name not in files:
                raise ConfigError(f"{MOST_KEPT} decisions are kept. Remove a hospital's with 'elsewhere remove' first.")
            try:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                write_private(self._folder / name, text)
            except OSError as error:
                raise ConfigError("The decision cannot be kept in the state folder.", private=str(error)) from error
        return _row(signed)

    def of_plan(self, plan_digest: str) -> tuple[DecidedElsewhere, ...]:
        """What others decided on exactly this plan, by their names.

        Guarantees:
            Returns only what verifies now.
        """
        found = [one for one in self._read(f"{plan_digest}-*.json") if one.decision.plan_digest == plan_digest]
        return tuple(sorted(map(_row, found), key=lambda one: one.hospital)) if plan_digest else ()

    def hospitals(self) -> tuple[KnownHospital, ...]:
        """Every hospital of which a decision is kept and verifies, by name."""
        found: dict[str, list[DecidedElsewhere]] = {}
        for one in map(_row, self._read("*.json")):
            found.setdefault(one.fingerprint, []).append(one)
        known = [
            KnownHospital(rows[0].hospital, key, len(rows), max(one.decided_on for one in rows))
            for key, rows in found.items()
        ]
        return tuple(sorted(known, key=lambda one: (one.hospital, one.fingerprint)))

    def remove(self, key: str) -> KnownHospital:
        """Removes every decision that this key signed; its name and itself are free for others again.

        Args:
            key: The key's fingerprint, with or without its spaces.

        Raises:
            ConfigError: No decision of this key is kept, or one cannot be removed.
        """
        wanted = "".join(key.split()).lower()
        with self._lock:
            gone = next((one for one in self.hospitals() if "".join(one.fingerprint.split()) == wanted), None)
            if gone is None:
                raise ConfigError("No decision of a key with this fingerprint is kept. 'elsewhere list' shows them.")
            try:
                for file, signed in tuple(self._files("*.json")):
                    if fingerprint(signed.public_key) == gone.fingerprint:
                        file.unlink()
            except OSError as error:
                raise ConfigError("The decisions cannot be removed.", private=str(error)) from error
        return gone

    def _read(self, pattern: str) -> Iterator[SignedBy]:
        return (signed for _, signed in self._files(pattern))

    def _files(self, pattern: str) -> Iterator[tuple[Path, SignedBy]]:
        for file in self._folder.glob(pattern):
            try:
                yield file, read_decision(file.read_text(encoding="utf-8"))
            except (ReceiptInvalid, OSError, UnicodeDecodeError):
                continue  # what was changed here is nobody's decision


def _check_pinned(known: SignedBy, new: SignedBy) -> None:
    """Refuses a name with another key, and a key with another name, than they first came with."""
    if (known.decision.hospital == new.decision.hospital) != (known.public_key == new.public_key):
        key = fingerprint(known.public_key)
        raise ReceiptInvalid(
            f"'{new.decision.hospital}' and the key {fingerprint(new.public_key)} do not belong together here: "
            f"'{known.decision.hospital}' came with the key {key}. Ask that hospital by another way. If it has a new "
            f"key, run 'elsewhere remove {key}', then add this one."
        )


def _file_name(signed: SignedBy) -> str:
    return f"{signed.decision.plan_digest}-{sha256(signed.public_key.encode()).hexdigest()[:32]}.json"


def _row(signed: SignedBy) -> DecidedElsewhere:
    told = signed.decision
    return DecidedElsewhere(told.hospital, told.decision, told.decided_on, told.reason, fingerprint(signed.public_key))
