"""The command `evidence`: a model's papers, written from what hospitals signed, or checked again. Asks no hospital."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from policies.errors import ConfigError
from policies.settings import declared
from policies.terminal.commands import argument, option, option_of, path
from policies.terminal.printing import say
from researcher.cli.commands import FILES, ResearcherCommands

if TYPE_CHECKING:
    from pathlib import Path

    import click

PAPERS = "papers"


def evidence(
    *,
    study: Path | None,
    out: Path | None,
    model: Path | None,
    evaluation: Path | None,
    named: Sequence[str],
    check: Path | None,
    **texts: str | None,
) -> None:
    """Writes the papers of a study's model: cards, sheets, annexes, each fact with what it rests on."""
    from researcher.papers.backing import NOT_BOUND
    from researcher.papers.pack import check_pack, write_pack
    from researcher.papers.words import words_of

    if check is not None:
        record = check_pack(check)
        say(
            f"{check} holds: the signed receipts ({len(record.receipts)}), {record.model.name} and each paper say the "
            "same."
        )
        for one in record.receipts:
            say(f"  {one.hospital}: signed with the key {one.public_key}")
        if any(one.gram for one in record.receipts) and not record.model.gram:
            say(NOT_BOUND)
        say("Compare each key with what its hospital publishes.")
        return
    study = study or path("out/study")
    hospitals = dict(map(_named, named))
    made = write_pack(study, out or study / PAPERS, words_of(texts, hospitals), model=model, evaluation=evaluation)
    for file in sorted(one for one in made.iterdir() if one.is_file()):
        say(file)
    say(f"What they rest on lies in {made / 'study'}. Check all of it: python -m researcher evidence --check {made}")


def _named(text: str) -> tuple[str, str]:
    datasite, mark, name = text.partition("=")
    if not mark or not datasite.strip() or not name.strip():
        raise ConfigError(f"--named wants DATASITE=NAME, such as north='North Hospital', got {text!r}.")
    return datasite.strip(), " ".join(name.split())


def _options_of_words() -> Sequence[click.Parameter]:
    from researcher.papers.words import Words

    return [option_of(one, value="TEXT") for one in declared(Words).values()]


def add_commands(commands: ResearcherCommands) -> None:
    """Adds this command to the program."""
    commands.add(
        "evidence",
        evidence,
        argument("study", "the study's folder, with its receipts (default out/study)", kind=path, required=False),
        option("--out", "folder to make (default: papers, in the study's)", kind=path),
        option("--model", "the model's file, weights or exported (default: the study's)", kind=path),
        option("--evaluation", "what 'evaluate --json' wrote of it (default: the study's, if there)", kind=path),
        option(
            "--named", "how a hospital wishes to be named; else it gets a number", value="DATASITE=NAME", repeated=True
        ),
        option("--check", "check this folder of papers, offline, and write nothing", kind=path, value="PACK"),
        later=_options_of_words,
        interrupted=FILES,
    )
