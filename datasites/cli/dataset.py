"""Commands about a dataset: `dataset show`, `dataset remove-patient`, `dataset prune`. They print what stays inside."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands
from datasites.cli.state_option import chosen_state
from policies.errors import ConfigError, WanwuError
from policies.terminal.commands import argument, option, path, switch
from policies.terminal.printing import say, say_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datasites.config import DatasiteConfig
    from datasites.datasets.removal import Removal
    from datasites.datasets.seen_by import StudyThatSaw
    from datasites.files.state_folder import StateFolder

MAX_FILE_BYTES = 16 << 20


def show(chosen: Chosen, *, dataset: str, no_page: bool) -> None:
    """Shows what a dataset is like, and writes a private page with samples of its pictures beside its mock."""
    from datasites.assets.dataset_version import newest_version, versions_of
    from datasites.assets.store import open_store
    from datasites.datasets.page import write_page
    from datasites.datasets.summary import summarise
    from datasites.state.kept_books import open_ledger
    from policies.answers.plain_values import to_plain

    os.umask(0o077)
    state, config = _opened(chosen, dataset)
    newest = newest_version(state.store, config.dataset.name)
    held = open_ledger(state).reservations().values()
    found = summarise(versions_of(state.store, config.dataset.name), held, config.dataset.terms_of_use)
    found = replace(found, after_start=_after_start(chosen, config.dataset.name))
    if not no_page:
        write_page(found, open_store(newest.folder), state.dataset_page)
    if chosen.json:
        say_json(to_plain(found), indent=2)
        return
    from datasites.console.shown.tables import dataset_tables
    from policies.terminal.rich_terminal import PlainConsole

    PlainConsole().print(dataset_tables(found))
    if not no_page:
        say(f"{state.dataset_page} shows samples of the pictures. It is for the hospital's people alone.")


def _after_start(chosen: Chosen, name: str) -> int | None:
    """The version that a running datasite takes at its next start; None with the newest, or none to ask."""
    try:
        told: int | None = console.call(chosen, "GET", f"/datasets/{name}")["after_start"]
    except WanwuError:
        return None
    return told


def remove_patient(chosen: Chosen, *, patients: Path | None) -> None:
    """Makes a version without patients who withdrew, and says which released models had seen them."""
    from datasites.datasets.removal import remove_patients
    from policies.answers.plain_values import to_plain

    os.umask(0o077)
    state, config = _opened(chosen, None)
    named = _asked() if patients is None else _read(patients)
    done = remove_patients(state, config.dataset.name, named, least=config.limits.min_public_size)
    if chosen.json:
        say_json(to_plain(done), indent=2)
        return
    if done.version is None:
        say(f"The newest version of '{config.dataset.name}' has no picture of them. Later ingests leave them out.")
        say("New requests get it; those of a datasite that was not started since it was made, once it is.")
    else:
        say(f"Version {done.version} of '{config.dataset.name}' is without {done.pictures} pictures of theirs.")
        say("Later ingests leave them out. New requests get it once the datasite was started again.")
    _tell_kept(done)
    _tell_seen(done.seen_by)


def prune(chosen: Chosen) -> None:
    """Removes the pictures of versions that no study under way and no new request reads; the datasite is stopped."""
    from datasites.datasets.pruning import prune
    from policies.answers.plain_values import to_plain

    state, config = _opened(chosen, None)
    done = prune(state, config.dataset.name)
    if chosen.json:
        say_json(to_plain(done), indent=2)
        return
    for version in done.versions:
        say(f"The pictures of version {version} are removed.")
    for version in done.needed:
        say(f"Version {version} stays: an approved request that has not ended reads it.")
    say(f"{done.bytes_freed / 1e6:.1f} MB are free. Backups that were made before hold the pictures still.")


def _tell_kept(done: Removal) -> None:
    """What of theirs is on the disk still, and what the new version has not."""
    if done.features:
        say(done.features_wanted)
    if done.ingest_under_way:
        say("An ingest is under way that may have read pictures of theirs. Once it has ended, run this again.")
    if done.still_in:
        named = ("version " if len(done.still_in) == 1 else "versions ") + ", ".join(map(str, done.still_in))
        say(f"Pictures of theirs are on this disk still, in {named}, with the features that were computed of them.")
        say("'python -m datasites dataset prune' removes what no study reads. Backups hold them until they expire.")


def _tell_seen(seen: Sequence[StudyThatSaw]) -> None:
    if not seen:
        say("No study has read their pictures.")
    for one in seen:
        sure = "had seen" if one.certain else "may have seen"
        say(
            f"Request {one.request_id[:8]}, study '{one.study}' of {one.researcher}: {one.rounds_read} rounds {sure} "
            f"them in version {one.version}, {one.rounds_released} gave a model or counts."
        )
    if any(one.under_way for one in seen):
        open_ones = ", ".join(one.request_id[:8] for one in seen if one.under_way)
        say(f"Still under way, on that version: {open_ones}. 'python -m datasites end REQUEST' stops one.")


def _opened(chosen: Chosen, dataset: str | None) -> tuple[StateFolder, DatasiteConfig]:
    from datasites.config import DatasiteConfig
    from datasites.state.version import check_version

    state = chosen_state(chosen)
    check_version(state.path)
    config = DatasiteConfig.from_toml(state.config)
    if dataset not in (None, config.dataset.name):
        raise ConfigError(f"This datasite's dataset is '{config.dataset.name}'. Leave the name out, or give that one.")
    return state, config


def _asked() -> list[str]:
    import click

    return [str(click.prompt("The patient's identifier, as the source writes it", hide_input=True)).strip()]


def _read(file: Path) -> list[str]:
    """The identifiers in a file, a line each.

    Raises:
        ConfigError: It cannot be read. What it holds is in no text.
    """
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(
                f"{file} is larger than {MAX_FILE_BYTES >> 20} MB. Give a file with an identifier a line."
            )
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read as text in UTF-8. Give a file with an identifier a line.") from error
    return [line.strip() for line in lines if line.strip()]


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    dataset = commands.within("dataset", "The dataset: what is in it, and who is not any more.")
    name = argument("dataset", "the dataset's name")
    dataset.add("show", show, name, switch("--no_page", "write no page with samples of pictures"))
    told = "file with their identifiers, a line each; asked for without it"
    dataset.add("remove-patient", remove_patient, option("--patients", told, kind=path, value="FILE"))
    dataset.add("prune", prune)
