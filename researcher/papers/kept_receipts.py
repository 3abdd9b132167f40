"""The hospitals' signed receipts as a study's folder keeps them, each verified with the key beside it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from policies.errors import ConfigError, ReceiptInvalid
from policies.ledger.receipt import MAX_RECEIPT_BYTES, Receipt, verify

FOLDER = "receipts"
_SUFFIX = ".receipt.json"


@dataclass(frozen=True)
class KeptReceipt:
    """A receipt that verified.

    Attributes:
        receipt: What the hospital signed.
        sha256: Of the file.
        public_key: Of the hospital's datasite, hexadecimal, as the file beside it states.
    """

    receipt: Receipt
    sha256: str
    public_key: str

    @property
    def hospital(self) -> str:
        """The datasite's name."""
        return self.receipt.datasite


def receipt_files(study: Path) -> list[Path]:
    """The receipts' files of a study's folder, in the order of their names."""
    return sorted((study / FOLDER).glob(f"*{_SUFFIX}"))


def read_receipts(study: Path) -> tuple[KeptReceipt, ...]:
    """The receipts of a study's folder, by the hospitals' names.

    Guarantees:
        Each was signed with the key in the file beside it, is whole to the last byte, and names a hospital of its own.

    Args:
        study: Its folder.

    Raises:
        ConfigError: There is none, or a file cannot be read.
        ReceiptInvalid: One does not verify, or two are of one hospital.
    """
    files = receipt_files(study)
    if not files:
        raise ConfigError(f"{study / FOLDER} holds no receipt. {_where_to_look(study)}")
    found: dict[str, KeptReceipt] = {}
    for file in files:
        kept = _read(file)
        if kept.hospital in found:
            raise ReceiptInvalid(f"Two receipts are of {kept.hospital}. Keep the latest in {study / FOLDER}.")
        found[kept.hospital] = kept
    return tuple(found[name] for name in sorted(found))


def _where_to_look(study: Path) -> str:
    """What to do about a folder without receipts: the demo keeps them beside its studies, with the model."""
    for above in study.parents[:2]:
        if receipt_files(above):
            return f"They lie in {above}, with the model of all hospitals: give that folder."
    return f"Fetch them: python -m researcher receipts --out {study}."


def key_file_of(receipt: Path) -> Path:
    """The file of the key that a receipt's file verifies with."""
    return receipt.with_name(receipt.name.removesuffix(_SUFFIX) + ".key")


def _read(file: Path) -> KeptReceipt:
    key_file = key_file_of(file)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_RECEIPT_BYTES + 1)
        key = key_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} and its key beside it cannot be read. Fetch the receipts again.") from error
    try:
        return KeptReceipt(verify(content, key), hashlib.sha256(content).hexdigest(), key)
    except ReceiptInvalid as error:
        raise ReceiptInvalid(f"{file.name}: {error.public}") from error
