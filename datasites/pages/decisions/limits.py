"""The page of limits: what is in force, a change with its reason that is shown before it is made, and proposals."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from datasites.approvals.approvals import MAX_REASON
from datasites.code_requests.limits.hospital_limits import HospitalLimits, LimitsOutcome
from datasites.code_requests.limits.kept_envelopes import KeptEnvelopes
from datasites.code_requests.limits.limit_proposals import LimitProposal
from datasites.console.console import CHANGES, DECIDES
from datasites.pages.frame.views import Answer, Onward, Page, Pages
from datasites.pages.frame.visit import Visit
from datasites.pages.languages.languages import to_translate
from datasites.review.card_words import LIMITS
from policies.answers.limit_values import read_limit, told_limit
from policies.answers.sentence import Sentence
from policies.budget.limit_changes import MEANS, LimitChange, by_name, changed, compare
from policies.errors import WanwuError

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Wanted:
    """A change as the form has it: the limit, its value as typed, the reason, and the value when it was shown."""

    name: str
    value: str
    reason: str
    before: str = ""


def make_pages(limits: HospitalLimits, kept: Callable[[float], KeptEnvelopes | None]) -> Pages:
    """Show, look at a change, make it; confirm a proposal, withdraw one.

    Args:
        limits: Those of the hospital.
        kept: What approved studies keep beyond an epsilon of all of them.
    """
    pages = Pages()

    @pages.get("/limits", DECIDES, place=to_translate("Limits"))
    def show(visit: Visit) -> Answer:
        return _page(visit, limits)

    @pages.post("/limits/preview", CHANGES)
    def preview(visit: Visit) -> Answer:
        wanted = _wanted(visit)
        errors, changes = _looked_at(visit, limits, wanted)
        less = [json.loads(one.after) for one in changes if one.name == "epsilon" and not one.allows_more]
        beyond = kept(less[0]) if less else None
        return _page(visit, limits, wanted, errors, changes, 422 if errors else 200, beyond)

    @pages.post("/limits", CHANGES)
    def change(visit: Visit) -> Answer:
        wanted = _wanted(visit)
        errors, changes = _looked_at(visit, limits, wanted)
        if not errors and wanted.before != changes[0].before:
            errors = {"value": visit.gettext("This limit has changed since it was shown. Look at it again.")}
        if errors:
            return _page(visit, limits, wanted, errors, (), 422)
        values = {wanted.name: read_limit(wanted.value)}
        outcome = limits.change(values, by=visit.who.name, named=visit.who.named, reason=wanted.reason)
        return _done(
            visit, outcome, visit.gettext("This is proposed. It holds once a further person has confirmed it.")
        )

    @pages.post("/limits/proposals/{proposal}/confirm", DECIDES)
    def confirm(visit: Visit) -> Answer:
        outcome = limits.confirm(visit.params["proposal"], by=visit.who.name, named=visit.who.named)
        return _done(visit, outcome, visit.gettext("Your confirmation is in. A further person's is missing."))

    @pages.post("/limits/proposals/{proposal}/withdraw", DECIDES)
    def withdraw(visit: Visit) -> Answer:
        limits.withdraw(visit.params["proposal"], by=visit.who.name)
        return Onward("/limits", notice=visit.gettext("The proposal is withdrawn. Nothing has changed."))

    return pages


def meaning(visit: Visit, change: LimitChange) -> Sentence:
    """What a change means, as a sentence that every language has."""
    before, after = _both(visit, change)
    return Sentence(MEANS[change.name], {"before": before, "after": after})


def _both(visit: Visit, change: LimitChange) -> tuple[str, str]:
    """The limit's value before and after, as a person reads them."""
    return _read(visit, json.loads(change.before)), _read(visit, json.loads(change.after))


def _wanted(visit: Visit) -> Wanted:
    reason = " ".join(visit.form.get("reason").split())
    return Wanted(visit.form.line("name"), visit.form.line("value"), reason, visit.form.line("before"))


def _looked_at(
    visit: Visit, limits: HospitalLimits, wanted: Wanted
) -> tuple[Mapping[str, str], tuple[LimitChange, ...]]:
    """What is wrong with a wanted change, by field, or else what it changes."""
    try:
        value = read_limit(wanted.value)
        changes = compare(limits.current, changed(limits.current, {wanted.name: value}))
    except (ValueError, RecursionError):
        told = visit.gettext(
            "Write a number, yes or no, two numbers such as 0.01 to 10, or names such as built_in, graph."
        )
        return {"value": told}, ()
    except WanwuError as error:
        return {"value": visit.told(error)}, ()
    except TypeError:
        return {"value": visit.gettext("This is no such value.")}, ()
    if not changes:
        return {"value": visit.gettext("This is its value already.")}, ()
    if changes[0].allows_more and not wanted.reason:
        return {"reason": visit.gettext("What allows more needs a reason.")}, ()
    return _NONE, changes


def _done(visit: Visit, outcome: LimitsOutcome, waits: str) -> Answer:
    if outcome.proposal is not None:
        return Onward("/limits", notice=waits)
    told = ", ".join(f"{visit.gettext(LIMITS[one.name])}: {' → '.join(_both(visit, one))}" for one in outcome.changes)
    return Onward("/limits", notice=visit.gettext("In force now: %(changes)s", changes=told))


def _page(
    visit: Visit,
    limits: HospitalLimits,
    wanted: Wanted | None = None,
    errors: Mapping[str, str] = _NONE,
    changes: tuple[LimitChange, ...] = (),
    status: int = 200,
    beyond: KeptEnvelopes | None = None,
) -> Page:
    current = by_name(limits.current)
    values = {
        "limits": [
            (name, label, told_limit(current[name]), _read(visit, current[name])) for name, label in LIMITS.items()
        ],
        "labels": LIMITS,
        "needed": limits.current.approvals_needed,
        "proposals": [(one, _may_confirm(visit, one)) for one in limits.proposals()],
        "both": partial(_both, visit),
        "meaning": partial(meaning, visit),
        "may_change": visit.who.role in CHANGES,
        "wanted": wanted or Wanted(visit.query.line("name"), "", ""),
        "changes": changes,
        "beyond": beyond,
        "errors": errors,
        "most": MAX_REASON,
    }
    return Page("budgets/limits.html.jinja", values, status)


def _read(visit: Visit, value: object) -> str:
    """A limit's value as a person reads it."""
    if isinstance(value, bool):
        return visit.gettext("yes") if value else visit.gettext("no")
    if isinstance(value, (list, tuple)):
        if len(value) == 2 and not any(isinstance(one, str) for one in value):
            return visit.gettext("%(least)s to %(most)s", least=_read(visit, value[0]), most=_read(visit, value[1]))
        return ", ".join(map(str, value))
    return visit.language.number(value) if isinstance(value, int) else told_limit(value)


def _may_confirm(visit: Visit, proposal: LimitProposal) -> bool:
    return visit.who.named and visit.who.name not in (proposal.by, *proposal.confirmed)
