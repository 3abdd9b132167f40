"""Commands that submit a study's plan from its folder: `repeat`, and `invite`, for further hospitals of the same study.

The plan goes out; nothing is spent by asking.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from policies.terminal.commands import argument, option, path
from policies.terminal.printing import say
from researcher.cli.access import connect, credentials_option
from researcher.cli.commands import INVITED, SUBMITTED, ResearcherCommands, study_folder

if TYPE_CHECKING:
    from pathlib import Path


def repeat(*, study: Path, credentials: Sequence[str], out: Path, test: Path | None) -> None:
    """Submits a study again from its folder, with the same first weights, and says what is not the same as then."""
    from researcher.studies.kept_plan import read_plan

    read_plan(study)
    with connect(credentials, announced=True) as federation:
        from researcher.notebook.repetition import ALWAYS, repetition

        again = repetition(federation, study)
        for sentence in again.differs:
            say(f"differs: {sentence}")
        for sentence in ALWAYS:
            say(sentence)
        made = again.submit(out, hold_out=test)
    for name, request in made.requests.items():
        say(f"  {name}: request {request.request_id[:8]}, waiting for the hospital's decision")
    for line in made.told_left_behind():
        say(f"  {line}")


def invite(*, credentials: Sequence[str], out: Path, hospital: str | None) -> int:
    """Submits a study's plan, as its folder keeps it, to the hospitals that have no request of it. Status 1 if none
    took it.
    """
    # Where one is to be asked it is waited for, and of the others nobody but one who knows that the study goes on.
    with connect(credentials, enough=None if hospital is None else 2, begun=True, announced=True) as federation:
        from researcher.notebook.study import Study

        study = Study.load(federation, out)
        made = study.invite(hospital=hospital)
    for line in made.told(study.requests):
        say(line)
    return 0 if made.invited else 1


def add_commands(commands: ResearcherCommands) -> None:
    """Adds these commands to the program."""
    one = option("--hospital", "which datasite, where only one is to be asked", value="NAME")
    commands.add("invite", invite, credentials_option(), study_folder(), one, interrupted=INVITED)
    commands.add(
        "repeat",
        repeat,
        argument("study", "folder of the first study", kind=path),
        credentials_option(),
        study_folder(),
        option("--test", "public hold-out, where it lies elsewhere than the first study's", kind=path),
        interrupted=SUBMITTED,
    )
