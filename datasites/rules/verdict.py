"""The reasons that keep a rule from approving a request; there are none only where a person could approve it as well.

A reason is never told outside of the hospital.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from datasites.approvals.votes import is_the_asker
from datasites.review.review import Review
from datasites.rules.rule import VARIABLE, Rule, flat
from policies.answers import rounded
from policies.answers.sentence import Sentence, said

if TYPE_CHECKING:
    from datasites.code_requests.canonical import CanonicalRequest

UNREADABLE = "It cannot be read as a request of this platform."
ANOTHER_RESEARCHER = "It is of another researcher or account."
ANOTHER_DATASET = "It is on another dataset than the rule is for."
ANOTHER_VERSION = "It reads version {now} of the dataset; people approved version {before}."
ANOTHER_VALUE = "{setting} is not as in the request that people approved."
OUT_OF_RANGE = "{setting} is {now}, outside of {low} to {high}."
NOT_PRIVATE = "It has no differential privacy."
SPEAKS_AGAINST = "Something speaks against it: {topics}."
NOT_APPROVABLE = "It cannot be approved as it is."
NOT_PASSED = "Its rehearsal has not passed: it is {state}."
NO_REHEARSAL = "It has not been rehearsed."
ASKED_ABOUT = "Somebody has asked about it."
STUDY_FULL = "It would take its study to epsilon {after}; the rule allows {limit}."
MONTH_FULL = "It would take the rule's 30 days to epsilon {after}; the rule allows {limit}."
VOTED_ON = "Somebody has voted on it."
DECIDED = "It is decided already."
RULE_ENDED = "The rule ended on {ends}."
TOO_FEW_PEOPLE = "Requests need {needed} people now, and {count} stand behind the rule."
PERSON_GONE = "{person} stands behind the rule and decides nothing here any more."
ASKER_BEHIND = "{person} stands behind the rule and asks in it."
NO_CERTIFICATE = "The researcher has no valid certificate, or one was revoked after the rule was made."
REFUSED_SINCE = "A request of this researcher was denied or returned after the rule was made, or this very plan before."


@dataclass(frozen=True)
class Moment:
    """What holds while a rule is asked, beside the request itself.

    Attributes:
        today: UTC.
        people: Who stands behind the rule.
        people_needed: How many a request needs now.
        gone: Of these people, who decides nothing here any more.
        in_good_standing: Whether the researcher has a valid certificate, and none was revoked after the rule was made.
        refused: Whether a request of the researcher was refused since, or this plan at any time.
    """

    today: date
    people: tuple[str, ...]
    people_needed: int
    gone: tuple[str, ...]
    in_good_standing: bool
    refused: bool


def against_plan(rule: Rule, checked: CanonicalRequest | None) -> tuple[Sentence, ...]:
    """Why a request is none of those that the rule is for.

    Guarantees:
        Nothing only where researcher, account, dataset and version are the rule's, and the plan has everything that
        the template has, equal to it or within a range of the rule, and nothing else; the study's name is free.
    """
    if checked is None:
        return (said(UNREADABLE),)
    found = []
    if (checked.researcher, checked.account) != (rule.researcher, rule.account):
        found.append(said(ANOTHER_RESEARCHER))
    if checked.plan.dataset != rule.dataset:
        found.append(said(ANOTHER_DATASET))
    elif checked.dataset.manifest.dataset_version != rule.dataset_version:
        now, before = checked.dataset.manifest.dataset_version, rule.dataset_version
        found.append(said(ANOTHER_VERSION, now=now, before=before))
    if checked.plan.privacy is None:
        found.append(said(NOT_PRIVATE))
    return (*found, *_other_values(rule, checked))


def _other_values(rule: Rule, checked: CanonicalRequest) -> Iterator[Sentence]:
    ranges = {one.name: one for one in rule.ranges}
    before, now = flat(rule.template), flat(checked.plan)
    for name in sorted({*before, *now} - {"study", "dataset"}):
        allowed, value = ranges.get(name), now.get(name)
        if allowed is None:
            if name not in before or name not in now or type(before[name]) is not type(value) or before[name] != value:
                yield said(ANOTHER_VALUE, setting=VARIABLE.get(name, name))
        elif isinstance(value, bool) or not isinstance(value, int | float):
            yield said(ANOTHER_VALUE, setting=VARIABLE[name])
        elif not allowed.low <= value <= allowed.high:
            told = {"now": f"{value:g}", "low": f"{allowed.low:g}", "high": f"{allowed.high:g}"}
            yield said(OUT_OF_RANGE, setting=VARIABLE[name], **told)


def against_review(rule: Rule, review: Review) -> tuple[Sentence, ...]:
    """Why a request that the rule is for goes to a person all the same.

    Guarantees:
        Nothing only where the request can be approved, no finding and nothing unusual is told of it, its rehearsal
        passed, nobody has asked about it, and its study stays within the rule's epsilon.
    """
    found = []
    if review.finding or review.cost is None or review.cost.epsilon is None:
        found.append(said(NOT_APPROVABLE))
    if told := _topics(review):
        found.append(said(SPEAKS_AGAINST, topics=", ".join(told)))
    if review.rehearsal is None:
        found.append(said(NO_REHEARSAL))
    elif review.rehearsal.state != "passed":
        found.append(said(NOT_PASSED, state=review.rehearsal.state))
    if review.thread:
        found.append(said(ASKED_ABOUT))
    of_study = [one for one in review.cost.scopes if one.of == "study"] if review.cost else []
    if any(not one.after <= rule.max_study_epsilon for one in of_study):
        after = rounded.cost(of_study[0].after)
        found.append(said(STUDY_FULL, after=after, limit=rounded.left(rule.max_study_epsilon)))
    return tuple(found)


def _topics(review: Review) -> Iterable[str]:
    """What speaks against a request, but for the same under another name: rules are made to allow that, within sums."""
    topics = {one.topic for one in review.findings} - {"repeat"}
    return sorted({*topics, *(one.field for one in review.unusual)})


def against_moment(rule: Rule, review: Review, moment: Moment) -> tuple[Sentence, ...]:
    """Why the rule may decide nothing now, or not on this request.

    Guarantees:
        Nothing only where the request waits, nobody has voted on it, the rule has not ended, as many people as are
        needed now stand behind it, each of whom may decide still and asks not in it, and the researcher is in good
        standing and was refused nothing since.
    """
    found = []
    if review.state != "pending":
        found.append(said(DECIDED))
    if review.votes_given:
        found.append(said(VOTED_ON))
    if rule.has_ended(moment.today):
        found.append(said(RULE_ENDED, ends=rule.ends))
    if len(set(moment.people)) < moment.people_needed:
        found.append(said(TOO_FEW_PEOPLE, needed=moment.people_needed, count=len(set(moment.people))))
    found += [said(PERSON_GONE, person=one) for one in moment.gone]
    found += [said(ASKER_BEHIND, person=one) for one in moment.people if is_the_asker(one, rule.researcher)]
    if not moment.in_good_standing:
        found.append(said(NO_CERTIFICATE))
    if moment.refused:
        found.append(said(REFUSED_SINCE))
    return tuple(found)
