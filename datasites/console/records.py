"""Records of decisions as the hospital's people keep them: written to a file of their own, and checked later."""

from __future__ import annotations

from pathlib import Path

from datasites.console.answers import ExtractAnswer, RecordAnswer, SharedAnswer, read_row
from datasites.files.private_file import write_private
from datasites.review.page import read_page
from policies.errors import ConfigError, ReceiptInvalid


def keep_record(content: object, file: Path) -> None:
    """Writes the record that the datasite answered with, mode 0600.

    Raises:
        ConfigError: It cannot be written.
    """
    _write(file, read_row(RecordAnswer, content).page)


def keep_extract(content: object, file: Path) -> None:
    """Writes an extract of the ledger, mode 0600.

    Raises:
        ConfigError: It cannot be written.
    """
    _write(file, read_row(ExtractAnswer, content).text)


def keep_shared(content: object, file: Path) -> None:
    """Writes a decision for other hospitals, mode 0600.

    Raises:
        ConfigError: It cannot be written.
    """
    _write(file, read_row(SharedAnswer, content).text)


def check_record(content: object, file: Path) -> str:
    """What a kept record says, once it holds against what the datasite answers now.

    Guarantees:
        Returns only if the datasite signed the record, the page shows what was signed, the decision covers what the
        datasite's table of decisions says, and each entry of the ledger that it names stands there, in that order.

    Raises:
        ReceiptInvalid: It does not hold, with what is wrong.
        ConfigError: The file cannot be read.
    """
    answer = read_row(RecordAnswer, content)
    try:
        record = read_page(file.read_text(encoding="utf-8"), answer.public_key)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read. Name a record that 'record --out' wrote.") from error
    hashes = tuple(one.hash for one in record.ledger)
    if (record.review.id, record.decided_digest, hashes) != (
        answer.request_id,
        answer.decided_digest,
        answer.hashes[: len(hashes)],
    ):
        raise ReceiptInvalid("The record is signed, but of another decision or another ledger than this datasite's.")
    return f"{record.decision} by {record.decided_by}, {len(hashes)} entries of the ledger"


def _write(file: Path, text: str) -> None:
    try:
        write_private(file, text)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror}). Name another file.") from error
