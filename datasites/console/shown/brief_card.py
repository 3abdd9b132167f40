"""The card of a request in brief: what a decision begins with, in a terminal of 80 columns and 24 lines."""

from __future__ import annotations

from typing import Any

from rich.console import Group

from datasites.console.answers import read_row
from datasites.console.shown.review_card import OF, bar, cost_rows, elsewhere, findings, pairs, review_card, sections
from datasites.review.review import Cost, Review
from policies.answers.moments import day, moment
from policies.answers.odds import unit_of
from policies.errors import ConfigError
from policies.terminal.rich_terminal import line

_MOST_SAID = 120  # characters of what a researcher says


def brief_card(content: object, *, datasite: str) -> Group:
    """Who asks, what for, at what cost, how to decide, and which sections tell the rest.

    Args:
        content: The datasite's answer.
        datasite: The option by which commands name this datasite.
    """
    review = read_row(Review, content)
    rows = _rows(review)
    if review.state == "pending":
        command = "python -m datasites {} " + f"{review.id[:8]} {datasite}"
        rows += [("to approve", command.format("approve")), ("or", command.format("deny") + " --reason TEXT")]
    more = f"More: --all, or --section with one of {', '.join(sections(review))}."
    return Group(pairs(rows), line(more))


def section_of_card(content: object, *, section: str | None) -> Group:
    """One section of a review, or all of it.

    Raises:
        ConfigError: It has no such section.
    """
    if section is None:
        return review_card(content)
    found: dict[str, list[Any]] = sections(read_row(Review, content))
    if section not in found:
        raise ConfigError(f"The review of this request has no section {section}. It has {', '.join(found)}.")
    return Group(*found[section])


def _rows(review: Review) -> list[tuple[str, str]]:
    state = review.state + (f" by {review.decided_by}" if review.decided_by else "")
    if review.state == "pending":
        state += f", {review.votes_given} of {review.approvals_needed} votes"
    enrolled = f", enrolled {day(review.enrolled_since)}" if review.enrolled_since else ""
    said = review.words.get("purpose", "")
    rows = [
        ("request", f"{review.id[:8]}, {state}, submitted {moment(review.submitted)}"),
        ("study", f"{review.plan.get('study', '')}, on dataset {review.plan.get('dataset', '')}"),
        ("researcher", review.researcher + enrolled),
        *([("in their words", said if len(said) <= _MOST_SAID else f"{said[:_MOST_SAID]} …")] if said else []),
        *(("speaks against" if topic == "findings" else topic, text) for topic, text in findings(review)),
        *([("computed", review.computed.text)] if review.computed else []),
        *([("leaves", review.leaves[0].text)] if review.leaves else []),
        *_costs(review.cost),
    ]
    if review.rehearsal is not None:
        rows.append(("rehearsal", review.rehearsal.public().told(with_assumptions=False)))
    if review.reason:
        rows.append(("reason", review.reason))
    if review.unanswered:
        rows.append(("waits for", f"the researcher's answer, open questions: {review.unanswered}"))
    return rows + elsewhere(review)


def _costs(cost: Cost | None) -> list[tuple[str, str]]:
    if cost is None:
        return []
    (_, alone), *_ = cost_rows(cost)
    tight = [one for one in cost.scopes if one.of == "dataset" or one.after > one.limit]
    bars = [(OF.get(one.of, one.of), bar(one)) for one in tight]
    return [("costs", alone), *bars, (f"for one {unit_of(cost.odds)}", cost.odds.text)]
