"""The page of rules: what is approved without a person; a new one is shown with its dry run before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from datasites.approvals.approvals import MAX_REASON
from datasites.console.console import CHANGES, DECIDES
from datasites.pages.frame.views import Answer, Onward, Page, Pages
from datasites.pages.frame.visit import Visit
from datasites.pages.languages.languages import to_translate
from datasites.rules.kept_rule import ON, PROPOSED, KeptRule
from datasites.rules.rule import MOST_DAYS, VARIABLE, Rule, WantedRule, flat
from datasites.rules.rules import Rules
from policies.errors import ConfigError, RequestUnknown

_NONE: Mapping[str, str] = MappingProxyType({})
_FIELDS = ("name", "like", "max_study_epsilon", "max_month_epsilon", "ends", "ranges", "reason")
STATES: Mapping[str, str] = MappingProxyType(
    {
        "proposed": to_translate("proposed, and not in force"),
        "on": to_translate("in force"),
        "off": to_translate("off"),
    }
)
"""What the states of rules are called."""
TONES: Mapping[str, str] = MappingProxyType({"proposed": "warn", "on": "good", "off": "plain"})


def make_pages(rules: Rules) -> Pages:
    """All rules, one with its dry run, a new one; confirm, withdraw, switch off."""
    pages, book = Pages(), rules.book

    @pages.get("/rules", DECIDES, place=to_translate("Rules"))
    def every(visit: Visit) -> Answer:
        kept, unreadable = _all(rules)
        values = {"rules": kept, "unreadable": unreadable, "needed": book.people_needed, "may_change": _may(visit)}
        return Page("rules/every.html.jinja", {**values, "states": STATES, "tones": TONES})

    @pages.get("/rules/new", CHANGES)
    def new(visit: Visit) -> Answer:
        return _form(visit, rules, {name: visit.query.line(name) for name in _FIELDS})

    @pages.post("/rules/dry-run", CHANGES)
    def look(visit: Visit) -> Answer:
        given = _given(visit)
        try:
            rule = book.draft(_wanted(given))
        except (ConfigError, RequestUnknown) as error:
            return _form(visit, rules, given, {"name": visit.told(error)}, status=422)
        errors = {} if given["reason"] else {"reason": visit.gettext("A rule needs a reason.")}
        return _form(visit, rules, given, errors, rule, 422 if errors else 200)

    @pages.post("/rules", CHANGES)
    def make(visit: Visit) -> Answer:
        given, seen = _given(visit), visit.form.line("seen")
        try:
            wanted = _wanted(given)
            rule = book.draft(wanted)
            if rule.version != seen:
                errors = {"name": visit.gettext("This rule is another than the one that was shown. Look at it again.")}
                return _form(visit, rules, given, errors, status=409)
            kept = book.make(wanted, by=visit.who.name, named=visit.who.named)
        except (ConfigError, RequestUnknown) as error:
            return _form(visit, rules, given, {"name": visit.told(error)}, status=422)
        return _done(visit, kept)

    @pages.get("/rules/version/{version}", DECIDES)
    def one(visit: Visit) -> Answer:
        kept = book.named(visit.params["version"])
        values = {
            "kept": kept,
            "state": STATES[kept.state],
            "tone": TONES[kept.state],
            "needed": book.people_needed,
            "may_confirm": kept.state == PROPOSED and visit.who.named and visit.who.name not in kept.people,
            "may_change": _may(visit),
        }
        return Page("rules/one.html.jinja", {**values, **_shown(rules, kept.rule)})

    _make_changes(pages, rules)
    return pages


def _make_changes(pages: Pages, rules: Rules) -> None:
    """What becomes of a rule that was made."""
    book = rules.book

    @pages.post("/rules/version/{version}/confirm", DECIDES)
    def confirm(visit: Visit) -> Answer:
        return _done(visit, book.confirm(visit.params["version"], by=visit.who.name, named=visit.who.named))

    @pages.post("/rules/version/{version}/withdraw", DECIDES)
    def withdraw(visit: Visit) -> Answer:
        book.withdraw(visit.params["version"], by=visit.who.name)
        return Onward("/rules", notice=visit.gettext("The proposal is withdrawn. Nothing has changed."))

    @pages.post("/rules/version/{version}/off", CHANGES)
    def off(visit: Visit) -> Answer:
        gone = book.switch_off(visit.params["version"], by=visit.who.name)
        said = visit.gettext("Rule %(name)s is off, and decides nothing more.", name=gone.rule.name)
        return Onward("/rules", notice=said)


def _may(visit: Visit) -> bool:
    return visit.who.role in CHANGES


def _all(rules: Rules) -> tuple[tuple[KeptRule, ...], str]:
    """The rules, or why they cannot be read."""
    try:
        return rules.book.all(), ""
    except ConfigError as error:
        return (), error.public


def _given(visit: Visit) -> dict[str, str]:
    given = {name: visit.form.line(name) for name in _FIELDS}
    return {**given, "reason": " ".join(given["reason"].split()), "ranges": " ".join(given["ranges"].split())}


def _wanted(given: Mapping[str, str]) -> WantedRule:
    """What a form asks for.

    Raises:
        ConfigError: One of the sums is no number.
    """
    try:
        study, month = float(given["max_study_epsilon"]), float(given["max_month_epsilon"])
    except ValueError as error:
        raise ConfigError("Both sums of epsilon are numbers such as 0.5.") from error
    ranges = tuple(given["ranges"].split())
    return WantedRule(given["name"], given["like"], study, month, given["ends"], ranges, given["reason"])


def _done(visit: Visit, kept: KeptRule) -> Answer:
    if kept.state == ON:
        return Onward("/rules", notice=visit.gettext("Rule %(name)s is in force.", name=kept.rule.name))
    return Onward("/rules", notice=visit.gettext("This is proposed. It holds once a further person has confirmed it."))


def _shown(rules: Rules, rule: Rule) -> dict[str, object]:
    """A rule and its dry run, for a template."""
    ranged = {one.name for one in rule.ranges}
    fixed = [(name, value) for name, value in flat(rule.template).items() if name not in {*ranged, "study"}]
    return {"rule": rule, "fixed": fixed, "labels": VARIABLE, "dry_run": rules.dry_run(rule)}


def _form(
    visit: Visit,
    rules: Rules,
    given: Mapping[str, str],
    errors: Mapping[str, str] = _NONE,
    rule: Rule | None = None,
    status: int = 200,
) -> Page:
    values = {
        "given": given,
        "errors": errors,
        "needed": rules.book.people_needed,
        "days": MOST_DAYS,
        "most": MAX_REASON,
        "variable": VARIABLE,
        "shown": None if rule is None or errors else _shown(rules, rule),
    }
    return Page("rules/new.html.jinja", values, status)
