"""The review of a request in the hospital's terminal: what a person decides on first, settings last. It stays here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group

from datasites.console.answers import read_row
from datasites.console.shown.digests import shortened
from datasites.review.review import MOST_LAYERS, Cost, Review, Scope
from policies.answers import rounded
from policies.answers.moments import day, moment
from policies.answers.odds import percent, unit_of
from policies.answers.rehearsals import duration
from policies.graphs.losses.loss_summary import LossSummary
from policies.graphs.overview.drawing import MOST_BOXES
from policies.graphs.overview.nearest import Nearest
from policies.graphs.summary import Summary
from policies.plans.words.statement import HEADING
from policies.terminal.rich_terminal import PlainPairs, PlainTable, line

SECTIONS = {
    "against": "What speaks against it",
    "request": "Request",
    "statement": HEADING,
    "researcher": "Who asks",
    "computed": "What is computed, and what leaves",
    "cost": "What it costs",
    "differences": "What differs from what was approved before",
    "elsewhere": "What other hospitals decided on this plan",
    "network": "The researcher's own model",
    "loss": "The researcher's own loss",
    "channels": "What could leak",
    "questions": "The five questions",
    "plan": "The plan in full",
}
"""Names of the card's sections, and their headings."""
_BAR = 20
OF = {"dataset": "dataset", "researcher": "this researcher", "study": "this study"}
_DIFFERS = {"researcher": "researcher's last", "study": "study's last"}


def review_card(content: object) -> Group:
    """All that a reviewer needs to decide on one request."""
    return Group(*(part for parts in sections(read_row(Review, content)).values() for part in parts))


def sections(review: Review) -> dict[str, list[Any]]:
    """The card's sections that say something, by the names that `--section` knows, in order; see `SECTIONS`."""
    rows = {
        "against": findings(review),
        "request": _request(review),
        "statement": list(review.words.items()) or [("statement", "nothing was said")],
        "researcher": _who(review),
        "computed": _computed(review),
        "cost": cost_rows(review.cost),
        "differences": _differences(review),
        "elsewhere": elsewhere(review),
    }
    parts: dict[str, list[Any]] = {name: [pairs(found)] for name, found in rows.items() if found}
    if review.own_model is not None:
        parts["network"] = _own_model(review.own_model, review.plan.get("model", {}).get("graph", ""))
    if review.own_loss is not None:
        parts["loss"] = [pairs(_own_loss(review.own_loss, review.plan.get("objective", {}).get("loss_graph", "")))]
    if review.channels:
        parts["channels"] = [_channels(review)]
    if review.questions:
        answered = ((one.question, " ".join(answer.text for answer in one.answers)) for one in review.questions)
        parts["questions"] = [pairs(answered)]
    parts["plan"] = [pairs(flat(review.plan))]
    return {name: [line((SECTIONS[name], "bold")), *found] for name, found in parts.items()}


def flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Settings by their dotted names."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", rounded.setting(value)))
    return rows


def pairs(rows: Iterable[tuple[str, str]]) -> PlainPairs:
    """Names and texts, in which digests are as short as git's."""
    table = PlainPairs()
    for name, value in rows:
        table.add_row(name, shortened(value))
    return table


def findings(review: Review) -> list[tuple[str, str]]:
    """What speaks against a request, by topic; one row that says that nothing does."""
    found = [(one.topic, one.reason.text) for one in review.findings]
    return [*found, *(("unusual", one.text) for one in review.unusual)] or [("findings", "none")]


def _request(review: Review) -> list[tuple[str, str]]:
    rows = [
        ("request", review.id),
        ("state", review.state + (f": {review.reason}" if review.reason else "")),
        ("submitted", moment(review.submitted)),
        ("digest", review.digest),
    ]
    if review.decided_by:
        rows.insert(2, ("decided by", review.decided_by))
    if review.state == "pending":
        rows.append(("waiting", f"{review.days_waiting} days"))
        own = f"; yours: {review.own_vote}" if review.own_vote else ""
        rows.append(("votes", f"{review.votes_given} of {review.approvals_needed}{own}"))
    rows += [("vote", f"{one.person}: {one.vote}" + (f", {one.reason}" if one.reason else "")) for one in review.votes]
    rows += _rehearsal(review)
    if review.unanswered:
        rows.append(("waits for", f"the researcher's answer, open questions: {review.unanswered}"))
    return [*rows, *((f"{moment(one.at)} {one.side}", f"{one.author}: {one.text}") for one in review.thread)]


def _rehearsal(review: Review) -> list[tuple[str, str]]:
    """What a rehearsal came to, with its traceback; nothing where none was asked for."""
    found = review.rehearsal
    if found is None:
        return []
    told = found.public().told()
    if found.state in ("waiting", "running") and review.state == "pending":
        told += "; an approval does not wait for it"
    return [("rehearsal", told), *(("", text) for text in found.traceback.splitlines())]


def elsewhere(review: Review) -> list[tuple[str, str]]:
    """What other hospitals have told of their decisions on this plan."""
    return [
        (
            "decided elsewhere",
            f"{one.hospital} {one.decision} on {one.decided_on}, signature verified (fingerprint {one.fingerprint})"
            + (f": {one.reason}" if one.reason else ""),
        )
        for one in review.elsewhere
    ]


def _who(review: Review) -> list[tuple[str, str]]:
    before = ", ".join(f"{count} {decision}" for decision, count in review.decided_before.items()) or "none"
    rows = [
        ("researcher", review.researcher),
        ("enrolled since", day(review.enrolled_since) if review.enrolled_since else "not known"),
        ("other requests", before),
    ]
    for study in review.studies:
        cost = "not private" if study.non_private else f"epsilon {rounded.cost(study.epsilon_charged)}"
        rows.append((study.study, f"{cost}, {study.rounds_run} of {study.rounds_reserved} rounds run"))
    return rows


def _computed(review: Review) -> list[tuple[str, str]]:
    rows = [("computed", review.computed.text)] if review.computed else []
    rows += [("leaves", one.text) for one in review.leaves]
    if review.model_from:
        rows.append(("model", review.model_from.text))
    if review.model_digest:
        rows.append(("model digest", review.model_digest))
    if review.plan.get("dataset"):
        rows.append(("dataset", f"{review.plan['dataset']}, version {review.dataset_version}"))
    if review.gpu_hours is not None:
        rows.append(("time in all", f"{duration(review.gpu_hours)}, estimated on the mock"))
    return rows


def _own_model(own_model: Summary, digest: str) -> list[Any]:
    """What an own model is made of: its operators by kind, and its layers in order."""
    kinds = ", ".join(f"{count:,} {name}" for name, count in own_model.kinds.items())
    figures = [
        ("operators", f"{own_model.operators:,}: {kinds}"),
        ("trained numbers", f"{own_model.parameters:,}"),
        ("multiplications", f"{own_model.multiplications:,} for a picture"),
        ("nearest built-in", _nearest(own_model.nearest)),
        ("graph digest", digest),
    ]
    parts = PlainTable("part", "times", "operators", "ways in", "gives", "trained numbers")
    for part in own_model.blocks[:MOST_BOXES]:
        within = ", ".join(f"{count} {name}" if count > 1 else name for name, count in part.kinds.items())
        trained = f"{part.parameters * part.times:,}"
        parts.add_row(part.name, f"{part.times}", within, f"{part.ways}", part.makes, trained)
    table = PlainTable("layer", "operator", "gives", "trained numbers", "multiplications")
    for one in own_model.layers[:MOST_LAYERS]:
        table.add_row(one.name, one.operator, one.makes, f"{one.parameters:,}", f"{one.multiplications:,}")
    left_out = len(own_model.layers) - MOST_LAYERS
    more = [pairs([("further layers", f"{left_out:,}, not shown")])] if left_out > 0 else []
    further = len(own_model.blocks) - MOST_BOXES
    not_drawn = [pairs([("further parts", f"{further:,}, not shown")])] if further > 0 else []
    return [pairs(figures), parts, *not_drawn, table, *more]


def _own_loss(own_loss: LossSummary, digest: str) -> list[tuple[str, str]]:
    """What an own loss is made of: its operators by kind, and what it computes line by line."""
    kinds = ", ".join(f"{count:,} {name}" for name, count in own_loss.kinds.items())
    further = [f"{own_loss.further:,} further lines, not shown"] if own_loss.further else []
    return [
        ("operators", f"{own_loss.operators:,}: {kinds}"),
        ("multiplications", f"{own_loss.multiplications:,} for a picture"),
        ("computes", "\n".join((*own_loss.lines, *further))),
        ("graph digest", digest),
    ]


def _nearest(found: Nearest | None) -> str:
    """The built-in model that an own one is like, and by what that is meant."""
    if found is None:
        return "none of its layers is one of a built-in model"
    return (
        f"{found.name}, {100 * found.likeness:.0f} % alike; layers of both that are the same operator on trained "
        f"numbers of the same shapes, in the same order: {found.common:,}, of {found.own:,} here and "
        f"{found.built_in:,} there"
    )


def cost_rows(cost: Cost | None) -> list[tuple[str, str]]:
    """What a request costs, with what is left, and what that means for one person."""
    if cost is None:
        return []
    alone = "not private" if cost.epsilon is None else rounded.at_delta(cost.epsilon, cost.delta)
    rows = [("this request", alone), *((OF.get(scope.of, scope.of), bar(scope)) for scope in cost.scopes)]
    if cost.studies_left is not None:
        least = "at least " if cost.studies_left_is_least else ""
        rows.append(("such studies left", f"{least}{cost.studies_left} after this one"))
    rows.append((f"for one {unit_of(cost.odds)}", cost.odds.text))
    for name, bounds in (("test finds", cost.membership), ("in all so far", cost.membership_in_all)):
        if bounds is not None:
            told = ", ".join(
                f"{percent(power)} at {100 * rate:g} % false alarms"
                for rate, power in zip(bounds.false_alarm_rates, bounds.powers, strict=True)
            )
            rows.append((name, f"at most {told}"))
    return rows


def bar(scope: Scope) -> str:
    """Before, this one and what is left of a limit: `####====....`, rounded up, with the figures beside it."""
    most = max(scope.limit, 1e-9)
    before = min(math.ceil(_BAR * min(scope.before / most, 1.0)), _BAR)
    after = max(min(math.ceil(_BAR * min(scope.after / most, 1.0)), _BAR), before)
    bar = "#" * before + "=" * (after - before) + "." * (_BAR - after)
    over = " OVER" if scope.after > scope.limit else ""
    before_and_after = f"{rounded.cost(scope.before)} before, {rounded.cost(scope.after)} after"
    return f"[{bar}] {before_and_after}, of {rounded.left(scope.limit)}{over}"


def _differences(review: Review) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for place, one in enumerate(review.differences):
        if place and review.differences[place - 1].request_id == one.request_id:
            rows.append((_DIFFERS.get(one.of, one.of), "the same request"))
            continue
        changed = "; ".join(f"{each.what}: {each.before} → {each.now}" for each in one.changed) or "nothing"
        rows.append((_DIFFERS.get(one.of, one.of), f"{changed} (request {one.request_id}, study {one.study})"))
    return rows


def _channels(review: Review) -> PlainPairs:
    """Each way out with four texts below one another: beside one another they are words in a column at 80 columns."""
    pairs = PlainPairs()
    for one in review.channels:
        pairs.add_row(one.channel, one.risk.text)
        for name, text in (("check", one.check), ("evidence", one.evidence), ("what bounds it", one.bound)):
            pairs.add_row(f"  {name}", shortened(text.text))
    return pairs
