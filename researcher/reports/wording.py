"""Sentences of a report: numbers with units, and what the guarantee means in plain words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from policies.answers import rounded
from policies.answers.odds import at_each_rate, odds
from policies.budget.accountant import plan_spend
from policies.budget.membership import membership_bounds
from policies.budget.steps import GaussianSteps
from policies.plans.server.local_part import keeps_part
from policies.plans.tokeniser import TEXT_MODELS
from researcher.evaluation.evaluation import Evaluation
from researcher.reports.participation import APPROVED
from researcher.reports.result import StudyResult
from researcher.studies.history import PrivacySpent, RoundRecord

MOST_CLASSES_NAMED = 8
_IN_EARNEST = "At real hospitals, whose noise nobody can foresee, the same plan would keep to this."


def summary(result: StudyResult) -> str:
    """What was trained, on what, where and for how long."""
    model = result.plan.model
    height, width, channels = model.image_shape
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    called = f"{'An' if model.is_own else 'A'} {model.called}"
    pictures = "pictures with their reports" if model.name in TEXT_MODELS else "pictures"
    stayed = "pictures and reports" if model.name in TEXT_MODELS else "pictures"
    classes = f"{len(result.class_names)} {result.noun_of_classes}"
    if len(result.class_names) <= MOST_CLASSES_NAMED:
        classes += f" ({', '.join(result.class_names)})"
    apart = "of" if model.label_kind == "multi" else "apart in"
    updated = sum(bool(record.datasites) for record in result.rounds)
    where = f"{_hospitals(result)} over {count(updated, 'round')}"
    told = f"at {where}. The {stayed} stayed where they are."
    if result.simulated:
        told = f"in a simulation of {where}: {result.simulated}."
    return (
        f"{called} of {result.parameters:,} parameters that tells {classes} {apart} "
        f"{height} × {width} {kind} {pictures}, trained {told}{_what_stayed(result)}"
    )


def _what_stayed(result: StudyResult) -> str:
    """What of the model each hospital kept, and what the scores are therefore of; empty where nothing was."""
    if not keeps_part(result.plan):
        return ""
    theirs = "no hospital's own part is in them"
    if result.own_models:
        theirs = "the table of hospitals tells of each one's own model"
    what = "The last layer" if result.plan.server.strategy == "fed_per" else "The norms' scales and shifts"
    return (
        f" {what} stayed there too, each hospital's its own. The scores are of what they share, with such a part "
        f"fitted on one half of the hold-out and scored on the other; {theirs}."
    )


def _hospitals(result: StudyResult) -> str:
    """How many took part, of how many that were asked."""
    took_part, asked = len(result.took_part), len(result.datasites)
    return count(took_part, "hospital") if took_part == asked else f"{took_part} of {count(asked, 'hospital')}"


def taking_part(result: StudyResult) -> str:
    """How many were asked and what became of that; then in which rounds each took part that was not in all."""
    parts = result.participation
    if result.simulated:
        return f"{count(len(parts), 'hospital')} made up; nobody was asked."
    states = Counter(part.decision for part in parts.values())
    told = ", ".join(f"{many} {state}" for state, many in sorted(states.items(), key=lambda pair: pair[0] != APPROVED))
    sentences = [f"{count(len(parts), 'hospital')} asked: {told}."]
    for name, part in parts.items():
        if part.standing == "some rounds":
            sentences.append(f"{name} took part in {_rounds(part.rounds)} of {len(result.rounds)}.")
        elif part.standing == "dropped":
            sentences.append(f"{name} approved, and no update of it came.")
        elif part.standing != "all rounds":
            sentences.append(f"{name} had no part in it: {part.left_out[-1].reason}.".replace("..", "."))
    return " ".join(sentences)


def _rounds(rounds: Sequence[int]) -> str:
    """Numbers in order as people write them: `rounds 1 to 3, 5`."""
    runs: list[list[int]] = []
    for number in rounds:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    written = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in runs)
    return f"round{'s' if len(rounds) > 1 else ''} {written}"


def guarantee(result: StudyResult) -> str:
    """Two sentences: what one privacy unit is promised by all that was released, and what it is not."""
    if result.simulated and result.plan.privacy is None:
        return (
            "A simulation promises nothing, and its plan has no differential privacy: no noise is added, and what real "
            "hospitals released by it might reveal single pictures."
        )
    if result.simulated:
        return (
            "A simulation promises nothing: its noise follows from a seed, so whoever knows the seed can take it off. "
            "Its epsilons are what the same plan would cost each hospital at which somebody ran it in earnest."
        )
    if result.not_private:
        return (
            f"Training was not differentially private at {', '.join(result.not_private)}: what was released "
            "may reveal single pictures from there. This report promises nothing about them."
        )
    spent = [cost for cost in (*result.privacy_total.values(), *result.privacy.values()) if cost]
    if not spent:
        return (
            "No hospital's client update is in the model, which is what it was before the first round: it holds "
            "nothing of their pictures. What the hospitals' ledgers hold of the study is not known here, and this "
            "report promises nothing about it."
        )
    worst = max(spent, key=lambda cost: cost.epsilon)
    what = "all that this study released" + (f", {_beside(result)} included," if result.privacy_total else "")
    by_picture = _unit(result) == "picture"
    with_report = " with its report" if result.plan.model.name in TEXT_MODELS else ""
    unit = f"one picture{with_report}" if by_picture else "one patient with all their pictures"
    limit = "all pictures of one patient together" if by_picture else "a patient's pictures elsewhere"
    return (
        f"Adding or removing {unit} at a hospital changes the probability of any conclusion from {what} "
        f"by a factor of at most {_factor(rounded.rounded_up(worst.epsilon))} (e to the power of epsilon, "
        f"{rounded.cost(worst.epsilon)}), apart from a remainder of at most "
        f"{number(max(cost.delta for cost in spent))}. This covers neither {limit} nor what holds "
        f"for people in general, and where hospitals share {_unit(result)}s, their epsilons add."
        f"{_empty_promise(result)}"
    )


def units(*public_sizes: int | None) -> str:
    """How many privacy units hospitals have together; none of it is told where one of them could not be asked."""
    known = [size for size in public_sizes if size is not None]
    return f"{sum(known):,}" if len(known) == len(public_sizes) else "not told"


def _empty_promise(result: StudyResult) -> str:
    """A sentence where that remainder is as large as one of a hospital's units; nothing elsewhere."""
    found = [
        f"{name} (1/{size:,})"
        for name in result.took_part
        if (cost := result.privacy[name]) and (size := result.public_sizes[name]) and cost.delta * size >= 1
    ]
    if not found:
        return ""
    return (
        f" At {', '.join(found)} the remainder is not below one unit of all: giving away one of them whole would keep "
        "this promise, so it means little there. A study needs a smaller delta."
    )


def odds_of_membership(result: StudyResult) -> str:
    """What any test of membership finds in all rounds, and what was paid for beside: a Gram matrix, or a baseline."""
    unit = _unit(result)
    if result.not_private or result.plan.privacy is None:
        return odds(None, unit).text
    spend = plan_spend(result.plan)
    if result.gram_noise is not None:
        spend = (*spend, GaussianSteps(result.gram_noise, 1.0, 1))
    bounds = membership_bounds(spend * (2 if result.privacy_total and result.gram_noise is None else 1))
    told = f"{odds(bounds, unit).text} {at_each_rate(bounds).text}"
    return f"{_IN_EARNEST} {told}" if result.simulated else told


def _unit(result: StudyResult) -> str:
    """What is protected: a patient only where each hospital's ledger says so, or the plan where none says anything."""
    spent = {cost.unit for cost in (*result.privacy_total.values(), *result.privacy.values()) if cost}
    if not spent and result.plan.privacy:
        spent = {result.plan.privacy.unit}
    return "patient" if spent == {"patient"} else "picture"


def hospitals_note(result: StudyResult) -> str:
    """How to read the table of hospitals."""
    if result.simulated:
        epsilon = " Epsilon is what the plan would spend there over all rounds, as a hospital's ledger composes it."
        return "Public size is what a hospital of so many units declares." + epsilon * (result.plan.privacy is not None)
    notes = [
        "Public size is what a hospital declares; the true number stays private.",
        "Epsilon is what the study spent there over all rounds, as the hospital's ledger composes it.",
        f"Between hospitals with different {_unit(result)}s the highest counts.",
    ]
    if result.gram_noise is not None:
        notes.append(
            "“With the Gram matrix” includes what the matrix that the study steps by cost there: a request of its own, "
            "which other studies may step by too."
        )
    elif result.privacy_total:
        notes.append("“With baseline” includes what training on that hospital's pictures alone spent.")
    if result.local_only:
        notes.append(
            "Alone: as many steps at the same cost on one hospital's pictures, scored on the same public hold-out."
        )
    return " ".join(notes)


def headline(scores: RoundRecord | Evaluation) -> tuple[str, str]:
    """Name and value of the score that a model is judged by first."""
    if scores.findings:
        return "macro AUROC", score(scores.macro_auroc)
    return "accuracy", score(scores.test_accuracy if isinstance(scores, RoundRecord) else scores.accuracy)


def score(value: float | None) -> str:
    """A score, or a dash where nothing can be said of one."""
    return "–" if value is None else f"{value:.3f}"


def against(result: StudyResult, name: str) -> str:
    """What a headline score is to be compared with: the best hospital alone, and guessing."""
    alone = {hospital: getattr(scores, name) for hospital, scores in result.local_only.items()}
    notes = []
    if known := {hospital: value for hospital, value in alone.items() if value is not None}:
        best = max(known, key=known.__getitem__)
        notes.append(f"best hospital alone: {known[best]:.3f} ({best})")
    if name == "accuracy":
        rows = [sum(row) for row in result.final.confusion]
        notes.append(f"always the commonest class: {max(rows) / max(sum(rows), 1):.3f}")
    elif name == "macro_auroc":
        having = sum(finding.auroc is not None for finding in result.final.findings)
        notes.append(f"mean of {having} of {count(len(result.final.findings), 'finding')}; guessing: 0.500")
    else:
        notes.append(f"rare {result.noun_of_classes} count as much as common ones")
    return "; ".join(notes)


def privacy_note(result: StudyResult) -> str:
    """What the headline epsilon is of."""
    worst = None if result.not_private else highest(result.privacy)
    if worst is None:
        return "not differentially private"
    note = f"at delta {number(worst.delta)}, per {worst.unit}"
    if result.simulated:
        note += "; simulated: what it would be in earnest"
    if total := highest(result.privacy_total):
        note += (
            f"; {rounded.cost(total.epsilon)} with the {'local-only ' * (result.gram_noise is None)}{_beside(result)}"
        )
    return note


def _beside(result: StudyResult) -> str:
    """What was paid for beside the study's rounds."""
    return "baselines" if result.gram_noise is None else "Gram matrix"


def highest(privacy: Mapping[str, PrivacySpent | None]) -> PrivacySpent | None:
    """The worst of what is known of several hospitals; None if nothing is."""
    return max((cost for cost in privacy.values() if cost), key=lambda cost: cost.epsilon, default=None)


def number(value: float) -> str:
    """As people write it: 1e-5, 0.25, 2."""
    return rounded.number(value)


def seconds(value: float) -> str:
    """A duration in the unit that suits it."""
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 100:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def size(value: float) -> str:
    """Bytes in the decimal unit that suits them."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def count(many: int, noun: str) -> str:
    """`1 round`, `2 rounds`."""
    return f"{many:,} {noun}{'' if many == 1 else 's'}"


def sizes(least: int, most: int, what: str) -> str:
    """Sizes from the least to the most, as one number where they are one: `80 units`, `20 to 80 units`."""
    return count(most, what) if least == most else f"{least:,} to {count(most, what)}"


def _factor(power: float) -> str:
    """e to `power`, rounded up."""
    if power > 20:
        return "over a hundred million"
    factor = round(math.exp(power), 6)
    return f"{math.ceil(factor):,}" if factor >= 10 else f"{math.ceil(10 * factor) / 10:.1f}"
