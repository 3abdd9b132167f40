"""Commands about privacy receipts: `receipts`, `receipt verify`. A receipt states what rounds cost, to anybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from policies.errors import ConfigError
from policies.terminal.commands import argument, option, path
from policies.terminal.printing import say
from researcher.cli.access import Missing, connect, credentials_option
from researcher.cli.commands import ResearcherCommands, study_folder

if TYPE_CHECKING:
    from pathlib import Path


def receipts(*, credentials: Sequence[str], out: Path) -> int:
    """Fetches the hospitals' signed privacy receipts of the study, with their keys. Status 1 if one is missing."""
    from researcher.studies.submission import Submission

    missing = Missing()
    with connect(credentials) as federation:
        for file in Submission.load(federation, out).receipts(out / "receipts", on_missing=missing):
            say(file)
    return missing.status


def verify(*, file: Path, key: Path) -> None:
    """Checks a receipt with the datasite's published key alone."""
    from policies.ledger import receipt

    try:
        stated = receipt.verify(file.read_text(), key.read_text().strip() if key.is_file() else str(key))
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read.") from error
    cost = "without differential privacy"
    if stated.epsilon is not None:
        cost = f"epsilon {stated.epsilon:.3f} at delta {stated.delta:g} per {stated.unit}"
    say(f"Valid: {stated.datasite} states {len(stated.rounds)} round(s) of '{stated.study}', {cost}.")
    for sentence in receipt.as_odds(stated):
        say(sentence.text)


def add_commands(commands: ResearcherCommands) -> None:
    """Adds these commands to the program."""
    commands.add("receipts", receipts, credentials_option(), study_folder())
    key = option("--key", "the datasite's public key: a file, or hexadecimal", kind=path, required=True)
    commands.within("receipt", "A privacy receipt.").add(
        "verify", verify, argument("file", "the receipt", kind=path), key
    )
