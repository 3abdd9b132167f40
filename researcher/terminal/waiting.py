"""Waiting in the terminal for the hospitals' decisions, saying who is waited for and who refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from policies.answers.requests import with_reason
from policies.plans.kinds import Plan
from policies.terminal.rich_terminal import PlainConsole, line
from researcher.studies.decisions import UNDECIDED
from researcher.studies.submission import Submission
from researcher.terminal.inviting import told_without

_P = TypeVar("_P", bound=Plan)


def wait_for_decisions(
    submission: Submission[_P],
    console: PlainConsole,
    *,
    min_clients: int | None,
    grace_seconds: float,
    others_may_be_invited: bool = False,
) -> None:
    """Waits as `Submission.wait_for_decisions` does, and says each change.

    Args:
        submission: A study, or a request for counts.
        console: Where to say it.
        min_clients: So many approvals are enough; None waits for every hospital.
        grace_seconds: How long further decisions are waited for then.
        others_may_be_invited: Whether to say which hospitals have no request: to a study they may come later.

    Raises:
        RequestDenied: `min_clients` cannot be met any more.
    """
    command = f"'python -m researcher invite --out {submission.folder}'" if others_may_be_invited else ""
    if told := command and told_without(submission, command):
        console.print(line("  ", told))
    with console.status("Waiting for the hospitals' decisions ..."):
        submission.wait_for_decisions(
            min_clients=min_clients,
            grace_seconds=grace_seconds,
            on_change=lambda decisions: _say_who_is_waited_for(decisions, console),
        )


def _say_who_is_waited_for(decisions: Mapping[str, tuple[str, str]], console: PlainConsole) -> None:
    for name, (state, reason) in decisions.items():
        if state != "approved":
            console.print(
                line("  ", (name, "yellow" if state in UNDECIDED else "red"), f": {with_reason(state, reason)}")
            )
    waiting = [name for name, (state, _) in decisions.items() if state in UNDECIDED]
    approved = sum(state == "approved" for state, _ in decisions.values())
    if waiting:
        console.print(line(f"  {approved} of {len(decisions)} approved; waiting for {', '.join(waiting)}"))
