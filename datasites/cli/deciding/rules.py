"""Commands about rules: what is approved without a person. A dry run shows what a rule would have decided so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands, identifier
from policies.terminal.commands import argument, option, switch


def rules(chosen: Chosen) -> None:
    """Shows the rules in force, what is proposed, and what is off."""
    _show(chosen, console.call(chosen, "GET", "/rules"))


def add(
    chosen: Chosen,
    *,
    rule: str,
    like: str,
    study_epsilon: float,
    month_epsilon: float,
    until: str,
    ranges: Sequence[str],
    reason: str,
    dry_run: bool,
) -> None:
    """Puts a rule in force, or proposes it; with --dry-run it only shows what the rule would have decided."""
    wanted = {
        "name": rule,
        "like": like,
        "max_study_epsilon": study_epsilon,
        "max_month_epsilon": month_epsilon,
        "ends": until,
        "ranges": list(ranges),
        "reason": reason,
    }
    _show(chosen, console.call(chosen, "POST", "/rules/dry-run" if dry_run else "/rules", wanted))


def dry_run(chosen: Chosen, *, version: str) -> None:
    """Shows what a rule, proposed or in force, would have decided on its researcher's requests so far."""
    _show(chosen, console.call(chosen, "GET", f"/rules/{version}/dry-run"))


def confirm(chosen: Chosen, *, version: str) -> None:
    """Confirms a proposed rule; with the last person that it takes, it is in force."""
    _show(chosen, console.call(chosen, "POST", f"/rules/{version}/confirm"))


def withdraw(chosen: Chosen, *, version: str) -> None:
    """Puts a proposed rule away."""
    _show(chosen, console.call(chosen, "POST", f"/rules/{version}/withdraw"))


def off(chosen: Chosen, *, version: str) -> None:
    """Switches a rule off at once; what it approved stands."""
    _show(chosen, console.call(chosen, "POST", f"/rules/{version}/off"))


def _show(chosen: Chosen, answer: Any) -> None:
    from datasites.console.shown.rule_tables import shown_rules

    console.show(chosen, answer, shown_rules)


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    own = commands.within("rules", "What is approved without a person: rules, and dry runs of them.")
    own.alone(rules)
    told = "what may differ, such as rounds=1..20 (repeatable)"
    ranges = option("--range", told, name="ranges", value="SETTING=LOW..HIGH", repeated=True)
    own.add(
        "add",
        add,
        argument("rule", "its name; the name of a rule that there is changes that one", kind=identifier("rule")),
        option("--like", "approved request that it is like", kind=identifier("request"), required=True),
        option("--study-epsilon", "most epsilon of a study", kind=float, required=True),
        option("--month-epsilon", "most epsilon that it approves within any 30 days", kind=float, required=True),
        option("--until", "its last day, such as 2027-03-31", value="DAY", required=True),
        ranges,
        option("--reason", "why; it stays in the audit log", default=""),
        switch("--dry-run", "show what it would have decided so far, and change nothing"),
    )
    version = argument("version", "the beginning of its version, as 'rules' shows it", kind=identifier("rule"))
    own.add("dry-run", dry_run, version)
    own.add("confirm", confirm, version)
    own.add("withdraw", withdraw, version)
    own.add("off", off, version)
