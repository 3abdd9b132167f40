"""Commands about privacy receipts: `receipts`, `receipt verify`. A receipt states what rounds cost, to anybody."""

from __future__ import annotations

import argparse
from pathlib import Path

from policies.errors import ConfigError
from policies.terminal.printing import say
from researcher.cli.access import connect, credentials_option
from researcher.cli.commands import Commands, study_folder


def receipts(options: argparse.Namespace) -> None:
    """Fetches the hospitals' signed privacy receipts of the study, with their public keys."""
    from researcher.studies.submission import Submission

    with connect(options) as federation:
        for file in Submission.load(federation, options.out).receipts(options.out / "receipts"):
            say(file)


def verify(options: argparse.Namespace) -> None:
    """Checks a receipt with the datasite's published key alone."""
    from policies.ledger import receipt

    try:
        key = options.key.read_text().strip() if options.key.is_file() else str(options.key)
        stated = receipt.verify(options.file.read_text(), key)
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read.") from error
    cost = "without differential privacy"
    if stated.epsilon is not None:
        cost = f"epsilon {stated.epsilon:.3f} at delta {stated.delta:g} per {stated.unit}"
    say(f"Valid: {stated.datasite} states {len(stated.rounds)} round(s) of '{stated.study}', {cost}.")


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    commands.add("receipts", receipts, credentials_option(), study_folder())
    checking = commands.group("receipt", "A privacy receipt.").add("verify", verify)
    checking.add_argument("file", type=Path, help="the receipt")
    checking.add_argument("--key", type=Path, required=True, help="the datasite's public key: a file, or hexadecimal")
