"""Commands that keep a datasite well: `backup`, `restore`, `doctor`, `notices`. None prints a picture.

A backup is as private as the datasite. `backup` and `doctor` work beside a running datasite, `notices` needs one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands, tell
from datasites.cli.state_option import chosen_state
from policies.errors import BackupRefused, ConfigError
from policies.terminal.commands import argument, option, path, refuse_together, switch
from policies.terminal.printing import say, say_json

if TYPE_CHECKING:
    from pathlib import Path

_READ, _TEST = "read", "test"


def backup(chosen: Chosen, *, folder: Path) -> None:
    """Backs up the datasite, running or not, into a folder of backups."""
    from datasites.state.backup import back_up
    from policies.answers.plain_values import to_plain

    made = back_up(chosen_state(chosen), folder)
    if chosen.json:
        return say_json({"folder": str(made.folder), "linked": made.linked, **to_plain(made.manifest)}, indent=2)
    size = sum(entry.bytes for entry in made.manifest.files.values())
    say(f"{made.folder}: {len(made.manifest.files)} files, {size / 1e6:.1f} MB, {made.linked} as in the last backup.")
    say(f"  ledger {_head(made.manifest.ledger_entries, made.manifest.ledger_head)}")
    say(f"  audit log {_head(made.manifest.audit_entries, made.manifest.audit_head)}")
    if made.manifest.missing_blobs:
        say(f"  {made.manifest.missing_blobs} blobs of unfinished studies had expired and are not in it.")


def restore(chosen: Chosen, *, folder: Path, nothing_since: bool, lost: Path | None, accept_loss: bool) -> None:
    """Makes a new state folder from a backup; says what was spent since, or charges it."""
    from datasites.state.backup import latest
    from datasites.state.backup_manifest import BackupManifest
    from datasites.state.restore import Since, restore

    refuse_together({"--nothing_since": nothing_since, "--lost": lost is not None, "--accept_loss": accept_loss})
    made_at = BackupManifest.read(latest(folder)).made_at
    if not (nothing_since or lost or accept_loss):
        raise BackupRefused(
            f"The backup was made at {made_at}; its ledger does not know what was spent after that. Say what holds: "
            "--nothing_since, if the datasite did not run since; --lost FOLDER, with what is left of its state folder; "
            "or --accept_loss, if nothing is left."
        )
    since = Since.NOTHING if nothing_since else Since.LOST_BOOKS if lost else Since.UNKNOWN
    done = restore(folder, chosen_state(chosen, must_exist=False).path, since=since, lost=lost)
    if chosen.json:
        values = {name: value for name, value in vars(done).items() if name != "state"}
        return say_json({"state": str(done.state.path), "made_at": made_at, **values}, indent=2)
    say(f"Restored {done.state.path} from the backup of {made_at}: the ledger has {done.ledger_entries} entries.")
    if done.newer_ledger:
        say("  The ledger is the lost datasite's own, which knows all that was spent.")
    for study in done.closed:
        say(f"  Closed and charged in full: {study}")
    if done.recharged:
        say(f"  Charged in full: {done.recharged} approvals after the backup, which the lost audit log names.")
    if since is Since.UNKNOWN:
        say(f"  Not counted: studies approved after {made_at}. Ask the researchers for their receipts, and lower the")
        say(
            "  dataset's total by what they name. Accounts and certificates revoked since are valid again, and patients"
        )
        say("  who withdrew since are in the dataset again: python -m datasites dataset remove-patient.")
    say("Never start the lost datasite again. To go on: python -m datasites doctor, then serve.")


def doctor(chosen: Chosen) -> int:
    """Looks the datasite over, running or not: its machine, books, ports. Status 1 if there is a problem."""
    from dataclasses import asdict

    from datasites.doctor.examination import examine
    from datasites.doctor.finding import PROBLEM, ExaminedDatasite

    findings = []
    for finding in examine(ExaminedDatasite(chosen_state(chosen))):
        findings.append(finding)
        if not chosen.json:
            say(f"{finding.level:<8} {finding.check}: {finding.text}")
            if finding.advice:
                say(f"           {finding.advice}")
    if chosen.json:
        say_json([asdict(finding) for finding in findings], indent=2)
    return int(any(finding.level == PROBLEM for finding in findings))


def notices(chosen: Chosen, *, what: Sequence[str]) -> int:
    """Lists notices; with `read` marks all as read by you, with `test` sends one each way (status 1 if one fails)."""
    from datasites.console.shown.tables import notice_table

    if what == (_TEST,):
        return _test(chosen)
    if what not in ((), (_READ,)):
        raise click.UsageError(f"'notices' is followed by nothing, {_READ} or {_TEST}, got {' '.join(what)!r}.")
    page = console.call(chosen, "GET", "/notices")
    if what and page["notices"]:
        console.call(chosen, "POST", "/notices/read", {"up_to": page["notices"][0]["id"]})
    console.show(chosen, page, notice_table)
    return 0


def _test(chosen: Chosen) -> int:
    ways = console.call(chosen, "POST", "/notices/test")
    for name, trouble in ways.items():
        say(f"{name}: {trouble or 'sent'}")
    if not ways:
        say("Notices stay in the console: config.toml names no mail_host and no webhook_url in [notices].")
    return int(any(ways.values()))


def _head(entries: int, head: str) -> str:
    return f"{entries} entries, head {head[:16]}"


def sbom(chosen: Chosen, *, file: Path) -> None:
    """Writes which packages this environment has, as CycloneDX; receipts issued from it name the file's digest."""
    from policies.papers.bill_of_materials import bill_digest, bill_of_materials

    try:
        file.write_text(bill_of_materials(), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror}).") from error
    tell(chosen, {"file": str(file), "digest": bill_digest()}, f"Written to {file}, {bill_digest()}.")


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    commands.add("sbom", sbom, argument("file", "file to write, such as NAME.sbom.json", kind=path))
    commands.add("backup", backup, argument("folder", "folder of this datasite's backups", kind=path))
    commands.add(
        "restore",
        restore,
        argument("folder", "a backup, or a folder of backups: the last one is taken", kind=path),
        switch("--nothing_since", "the datasite did not run since the backup"),
        option("--lost", "what is left of the lost state folder", kind=path, value="FOLDER"),
        switch("--accept_loss", "nobody knows what was spent since the backup"),
    )
    commands.add("doctor", doctor)
    commands.add("notices", notices, argument("what", "nothing, read or test", repeated=True))
