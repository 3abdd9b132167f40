"""Commands about receipts, `receipts`, `receipt verify`, `receipt verify-model`: what rounds cost, told to anybody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from policies.errors import ConfigError
from policies.terminal.commands import argument, option, path
from policies.terminal.printing import say
from researcher.cli.access import Missing, connect, credentials_option
from researcher.cli.commands import FILES, ResearcherCommands, study_folder

if TYPE_CHECKING:
    from pathlib import Path

    from researcher.papers.kept_receipts import KeptReceipt


def receipts(*, credentials: Sequence[str], out: Path) -> int:
    """Fetches the hospitals' signed privacy receipts of the study, with their keys. Status 1 if one is missing."""
    from researcher.studies.kept_plan import RECEIPTS
    from researcher.studies.submission import Submission

    missing = Missing()
    with connect(credentials, begun=True) as federation:
        files = Submission.load(federation, out).receipts(out / RECEIPTS, on_missing=missing)
    for file in files:
        say(file)
    if not files and not missing.status:
        say("No hospital has approved the request, so there is no receipt yet.")
    return missing.status


def verify(*, file: Path, key: Path, gram: Path | None) -> None:
    """Checks a receipt with the datasite's published key alone."""
    from policies.answers import rounded
    from policies.ledger import receipt

    try:
        published = _text(key).strip() if key.is_file() else str(key)
        if not re.fullmatch("[0-9a-f]{64}", published):
            raise ConfigError(
                f"{key} is no public key of a datasite: neither a file that holds one nor 64 lower-case hexadecimal "
                "digits. Give the .key file that lies beside the receipt, or better what the hospital publishes."
            )
        stated = receipt.verify(_text(file), published)
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read.") from error
    cost = "without differential privacy"
    if stated.epsilon is not None and stated.delta is not None:
        cost = f"{rounded.at_delta(stated.epsilon, stated.delta)} per {stated.unit}"
    say(f"Valid: {stated.datasite} states {_rounds(len(stated.rounds))} of '{stated.study}', {cost}.")
    for sentence in receipt.as_odds(stated):
        say(sentence.text)
    if gram is not None:
        from researcher.papers.study_record import check_released

        say(f"It charges the Gram matrix in {gram}: SHA-256 {check_released(stated, gram)}.")


def _text(file: Path) -> str:
    """What stands in a file that somebody may have saved again: without the mark that some editors put before it.

    Raises:
        OSError: It cannot be read.
        ConfigError: It is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8. Save it as UTF-8, or ask the hospital for it again.") from error


def _rounds(number: int) -> str:
    return f"{number} round" if number == 1 else f"{number} rounds"


def verify_model(*, model: Path, out: Path) -> None:
    """Holds a model's file against the signed receipts of its study: what stands behind it, and what is promised.

    Neither PySyft nor torch nor a network is needed.
    """
    from researcher.papers.backing import MATRIX_SHOWN, NOT_BOUND, NOT_SHOWN
    from researcher.papers.study_record import read_backed

    found, receipts, alone = read_backed(out, model)
    study = receipts[0].receipt.study
    say(f"{found.name} ({found.form}, SHA-256 {found.sha256[:12]}) is of '{study}', {_rounds(found.round)}.")
    alike: dict[tuple[str, ...], list[KeptReceipt]] = {}
    for one in receipts:
        if not one.receipt.rounds and not one.receipt.epsilon:
            say(f"{one.hospital}: no round, so it released nothing here; signed with the key {one.public_key[:12]}.")
            continue
        alike.setdefault(tuple(sentence.text for sentence in one.as_odds()), []).append(one)
    for told, hospitals in alike.items():
        for one in hospitals:
            rounds = _rounds(len(one.receipt.rounds))
            say(f"{one.hospital}: {rounds}, {one.cost}; signed with the key {one.public_key[:12]}.")
        if len(hospitals) > 1:
            names = ", ".join(one.hospital for one in hospitals)
            say(f"At each of {names if len(alike) > 1 else f'these {len(hospitals)} hospitals'}, by what it released:")
        for text in told:
            say(f"  {text}")
    for one in alone:
        say(f"{one.hospital}: its Gram matrix alone, {one.cost}; signed with the key {one.public_key[:12]}.")
    if any(one.gram for one in receipts):
        say(MATRIX_SHOWN if found.gram else NOT_BOUND)
    say("The receipts stand behind this model. Compare each key with what its hospital publishes.")
    say(NOT_SHOWN)


def add_commands(commands: ResearcherCommands) -> None:
    """Adds these commands to the program."""
    commands.add("receipts", receipts, credentials_option(), study_folder(), interrupted=FILES)
    key = option("--key", "the datasite's public key: a file, or hexadecimal", kind=path, required=True)
    receipt = commands.within("receipt", "A privacy receipt.")
    matrix = option("--gram", "folder of a Gram matrix, which the receipt is to charge", kind=path)
    receipt.add("verify", verify, argument("file", "the receipt", kind=path), key, matrix)
    of_model = argument("model", "the model: .safetensors with its .json beside it, or an exported .onnx", kind=path)
    receipt.add("verify-model", verify_model, of_model, study_folder())
