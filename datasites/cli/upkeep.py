"""Commands that keep a datasite well: `backup`, `restore`, `doctor`, `migrate`. A backup is as private as the datasite.

None of them needs a running datasite; `backup` and `doctor` work beside one.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from datasites.cli.commands import Commands
from datasites.cli.state_option import chosen_state
from policies.errors import BackupRefused
from policies.terminal.printing import say, say_json


def backup(options: argparse.Namespace) -> None:
    """Backs up the datasite, running or not, into a folder of backups."""
    from datasites.state.backup import back_up

    made = back_up(chosen_state(options), options.folder)
    size = sum(entry.bytes for entry in made.manifest.files.values())
    say(f"{made.folder}: {len(made.manifest.files)} files, {size / 1e6:.1f} MB, {made.linked} as in the last backup.")
    say(f"  ledger {_head(made.manifest.ledger_entries, made.manifest.ledger_head)}")
    say(f"  audit log {_head(made.manifest.audit_entries, made.manifest.audit_head)}")
    if made.manifest.missing_blobs:
        say(f"  {made.manifest.missing_blobs} blobs of unfinished studies had expired and are not in it.")


def restore(options: argparse.Namespace) -> None:
    """Makes a new state folder from a backup; says what was spent since, or charges it."""
    from datasites.state.backup import latest
    from datasites.state.backup_manifest import BackupManifest
    from datasites.state.restore import Since, restore

    made_at = BackupManifest.read(latest(options.folder)).made_at
    if not (options.nothing_since or options.lost or options.accept_loss):
        raise BackupRefused(
            f"The backup was made at {made_at}; its ledger does not know what was spent after that. Say what holds: "
            "--nothing_since, if the datasite did not run since; --lost FOLDER, with what is left of its state folder; "
            "or --accept_loss, if nothing is left."
        )
    since = Since.NOTHING if options.nothing_since else Since.LOST_BOOKS if options.lost else Since.UNKNOWN
    done = restore(options.folder, chosen_state(options, must_exist=False).path, since=since, lost=options.lost)
    say(f"Restored {done.state.path} from the backup of {made_at}: the ledger has {done.ledger_entries} entries.")
    if done.newer_ledger:
        say("  The ledger is the lost datasite's own, which knows all that was spent.")
    for study in done.closed:
        say(f"  Closed and charged in full: {study}")
    if done.recharged:
        say(f"  Charged in full: {done.recharged} approvals after the backup, which the lost audit log names.")
    if since is Since.UNKNOWN:
        say(f"  Not counted: studies approved after {made_at}. Ask the researchers for their receipts, and lower the")
        say("  dataset's total by what they name. Accounts and certificates revoked since are valid again.")
    say("Never start the lost datasite again. To go on: python -m datasites doctor, then serve.")


def migrate(options: argparse.Namespace) -> None:
    """Brings an older state folder to this program's version, after a backup."""
    from datasites.state.migrations import migrate
    from datasites.state.version import STATE_VERSION

    state = chosen_state(options)
    before, folder = migrate(state, options.backup)
    if folder is None:
        say(f"{state.path} has version {before} already; nothing was done.")
        return
    say(f"{state.path} was of version {before} and now is of {STATE_VERSION}. The backup before that: {folder}")


def doctor(options: argparse.Namespace) -> None:
    """Looks the datasite over, running or not: its machine, books, ports. Status 1 if there is a problem."""
    from datasites.doctor.examination import examine
    from datasites.doctor.finding import PROBLEM, Patient

    findings = []
    for finding in examine(Patient(chosen_state(options))):
        findings.append(finding)
        if not options.json:
            say(f"{finding.level:<8} {finding.check}: {finding.text}")
            if finding.advice:
                say(f"           {finding.advice}")
    if options.json:
        say_json([asdict(finding) for finding in findings], indent=2)
    if any(finding.level == PROBLEM for finding in findings):
        sys.exit(1)


def _head(entries: int, head: str) -> str:
    return f"{entries} entries, head {head[:16]}"


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    commands.add("backup", backup).add_argument("folder", type=Path, help="folder of this datasite's backups")
    restoring = commands.add("restore", restore)
    restoring.add_argument("folder", type=Path, help="a backup, or a folder of backups: the last one is taken")
    told = restoring.add_mutually_exclusive_group()
    told.add_argument("--nothing_since", action="store_true", help="the datasite did not run since the backup")
    told.add_argument("--lost", type=Path, metavar="FOLDER", help="what is left of the lost state folder")
    told.add_argument("--accept_loss", action="store_true", help="nobody knows what was spent since the backup")
    commands.add("doctor", doctor)
    moving = commands.add("migrate", migrate)
    moving.add_argument("--backup", type=Path, required=True, metavar="FOLDER", help="where to back up to before")
