"""Commands about what hospitals ask: `messages`, `answer`, `withdraw`. Their texts go to the hospital's people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from policies.answers.moments import moment
from policies.terminal.commands import argument, option
from policies.terminal.printing import say
from researcher.cli.access import Missing, connect, credentials_option
from researcher.cli.commands import TOLD, ResearcherCommands, study_folder

if TYPE_CHECKING:
    from pathlib import Path

    from policies.plans.kinds import Plan
    from researcher.hospitals.federation import Federation
    from researcher.studies.submission import Submission


def messages(*, credentials: Sequence[str], out: Path) -> int:
    """Shows what the hospitals asked about a study, and what was answered. Status 1 if one could not be asked."""
    missing = Missing()
    with connect(credentials, begun=True) as federation:
        study = _study(federation, out)
        threads, waiting = study.messages(on_missing=missing), study.questions()
    if not any(threads.values()):
        say("No hospital has asked anything.")
    for name, thread in threads.items():
        for one in thread:
            say(f"{name} {moment(one.at)} {one.side}: {one.text}")
        if count := waiting.get(name):
            say(f"{name}: {count} question{'s wait' if count > 1 else ' waits'} for your answer")
    return missing.status


def answer(*, credentials: Sequence[str], out: Path, hospital: str | None, text: str) -> None:
    """Answers a hospital's question about a pending request."""
    with connect(credentials, begun=True) as federation:
        thread = _study(federation, out).answer(text, hospital=hospital)
    say(f"Answered: {thread[-1].text}")


def withdraw(*, credentials: Sequence[str], out: Path, hospital: str | None) -> int:
    """Withdraws a study where it is still pending; what was approved is ended with `end`. Status 1 if a hospital could
    not be asked.
    """
    missing = Missing()
    with connect(credentials, begun=True) as federation:
        withdrawn = _study(federation, out).withdraw(hospital=hospital, on_missing=missing)
    for name, state in withdrawn.items():
        say(f"{name}: {state}")
    if not withdrawn:
        say("No request of this study is pending where it was looked for.")
    return missing.status


def _study(federation: Federation, out: Path) -> Submission[Plan]:
    from researcher.studies.submission import Submission

    return Submission.load(federation, out)


def add_commands(commands: ResearcherCommands) -> None:
    """Adds these commands to the program."""
    access, folder = credentials_option(), study_folder()
    one = "which datasite, where only one of the study's is meant"
    hospital = option("--hospital", one, value="NAME")
    commands.add("messages", messages, access, folder)
    commands.add(
        "answer",
        answer,
        access,
        folder,
        hospital,
        argument("text", "your answer, in one line"),
        interrupted="The answer may have been sent: look with 'messages' before you send it again.",
    )
    commands.add("withdraw", withdraw, access, folder, hospital, interrupted=TOLD)
