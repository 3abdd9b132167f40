"""The hospital's terminal: rules and dry runs as tables. For the hospital's own eyes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group

from datasites.console.answers import read_row
from datasites.rules.kept_rule import KeptRule, RulesAnswer
from datasites.rules.past_requests import DryRun
from policies.terminal.rich_terminal import PlainTable, line

if TYPE_CHECKING:
    from rich.text import Text

_TONES = {"on": "green", "proposed": "yellow", "off": "dim"}
_MEANS = {
    "on": "Rule '{name}' is in force, version {version}. It ends after {ends}.",
    "proposed": "Rule '{name}', version {version}, waits for further people: rules confirm {short}.",
    "off": "Rule '{name}', version {version}, is off and decides nothing more.",
}


def shown_rules(content: Mapping[str, object]) -> Group:
    """What a command about rules was answered: all of them, a dry run, or what has become of one."""
    if "rules" in content:
        return _rules_table(content)
    return _dry_run_table(content) if "rows" in content else _rule_made(content)


def _rules_table(content: object) -> Group:
    """One line a version, those in force first."""
    answer = read_row(RulesAnswer, content)
    table = PlainTable("rule", "version", "state", "researcher", "dataset", "study ε", "30 days ε", "until")
    for one in answer.rules:
        rule = one.rule
        sums = (f"{rule.max_study_epsilon:g}", f"{rule.max_month_epsilon:g}")
        state = line((one.state, _TONES[one.state]))
        table.add_row(rule.name, one.version[:8], state, rule.researcher, rule.dataset, *sums, rule.ends)
    told = [_bounds(one) for one in answer.rules if one.state != "off"]
    if not answer.rules:
        told = [line("There is no rule: people decide on every request.")]
    return Group(table, *told)


def _rule_made(content: object) -> Group:
    """What has become of a rule."""
    kept = read_row(KeptRule, content)
    values = {"name": kept.rule.name, "version": kept.version, "short": kept.version[:8], "ends": kept.rule.ends}
    return Group(line(_MEANS[kept.state].format_map(values)))


def _dry_run_table(content: object) -> Group:
    """One line a request, the newest last, with why it would have been left to people."""
    answer = read_row(DryRun, content)
    table = PlainTable("request", "study", "people", "the rule")
    for row in reversed(answer.rows):
        why = " ".join(one.text for one in row.reasons)
        told = line(("approves", "green")) if row.approves else line(f"leaves it to people: {why}")
        table.add_row(row.request_id[:8], row.study, row.state, told)
    against = f" People here denied or returned {answer.against_people} of them." if answer.against_people else ""
    return Group(table, line(f"It would have approved {answer.approves} of {len(answer.rows)}.{against}"))


def _bounds(one: KeptRule) -> Text:
    """In one line what a rule lets through."""
    ranges = ", ".join(each.text for each in one.rule.ranges) or "nothing but the study's name"
    return line(f"{one.rule.name}: like {one.rule.like[:8]}; may differ: {ranges}; behind it: {', '.join(one.people)}")
