"""Ways in which something could leak, a row each: its risk by name, what checks it, the evidence, what bounds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datasites.review.review import Channel, Cost
from policies.answers import rounded
from policies.answers.odds import percent
from policies.answers.sentence import Sentence, said
from policies.plans.kinds import Plan
from policies.plans.releases import GramPlan
from policies.plans.training import TrainingPlan

CHANNELS = ("weights", "counts", "states", "durations", "log lines", "mock", "schema")
NOT_USED = "This request releases none."
NO_RISK = "None."
MEMBERSHIP = "Membership inference and reconstruction: whether one {unit} took part, and what it looks like."
CLIPPED = (
    "Each {unit}'s gradient is clipped and noise added before anything leaves; the output contract lets out declared, "
    "finite numbers."
)

if TYPE_CHECKING:
    from datasites.code_requests.canonical import CanonicalRequest
NOISED = "Noise is added to every count before it leaves; the output contract lets the declared counts out."
NOISED_SUMS = "Noise is added to every sum before it leaves; the output contract lets the declared sums out."
UNCHECKED = "Only that the declared, finite numbers leave: no noise, no bound on one picture."
NOISE_FIGURES = "Noise {noise} times what one {unit} can add, {steps} times; delta {delta}."
NOISE_FIGURES_ONCE = "Noise {noise} times what one {unit} can add, once; delta {delta}."
NO_FIGURES = "The plan has no differential privacy."
TEST_FINDS = "At one false alarm in 100, no test finds more than {power} of those who took part."
NOTHING_BOUNDS = "Nothing."
STATES_RISK = "Whether a round failed on certain pictures."
STATES_CHECK = "A round is queued, running, done or failed; reasons that name private data stay in the hospital's log."
STATES_EVIDENCE_ONCE = "At most one round, charged once, whatever came of it."
STATES_EVIDENCE = "At most {rounds} rounds, each charged once, whatever came of it."
STATES_BOUND = "One word a round. It is no part of epsilon."
TIMES_RISK = "Timing: how many pictures a step drew."
TIMES_CHECK = "Steps compute batches of one public shape; ends show on a public grid of times."
TIMES_EVIDENCE = "The plan's margin is {margin} standard deviations more pictures than expected."
TIMES_EVIDENCE_COUNTS = "One pass over all pictures a round."
TIMES_BOUND = "One of twenty times a round. It is no part of epsilon."
LOGS_RISK = "Values of private data in messages."
LOGS_CHECK = "Runs have no output that leaves; errors have a public text without values, and a private one."
LOGS_EVIDENCE = "The request is the platform's own stub: {digest}."
LOGS_BOUND = "Fixed texts with codes."
MOCK_RISK = "Real pictures in what researchers practise on."
MOCK_CHECK = "The mock is drawn from the public schema, before any request, and from no picture."
MOCK_EVIDENCE = "This request changes nothing about it."
SCHEMA_RISK = "Facts about patients in names or sizes."
SCHEMA_CHECK = "The hospital declares the schema; a request cannot ask for more of it."
SCHEMA_EVIDENCE = "Public size {size}, {classes} classes, unit {unit}."
PUBLIC_BOUND = "It is public before and after this request."


def channels_of(checked: CanonicalRequest, cost: Cost) -> tuple[Channel, ...]:
    """A row for each of CHANNELS, in their order."""
    plan, manifest = checked.plan, checked.dataset.manifest
    training = isinstance(plan, TrainingPlan)
    released, unused = (
        _release(plan, manifest.unit, cost),
        (said(NO_RISK), said(NOT_USED), said(NOT_USED), said(NO_RISK)),
    )
    if isinstance(plan, TrainingPlan):
        margin = said(TIMES_EVIDENCE, margin=f"{plan.run.batch_margin:g}")
    else:
        margin = said(TIMES_EVIDENCE_COUNTS)
    schema = said(SCHEMA_EVIDENCE, size=manifest.public_size, classes=len(manifest.class_names), unit=manifest.unit)
    rows = (
        released if training else unused,
        unused if training else released,
        (said(STATES_RISK), said(STATES_CHECK), _rounds(plan.rounds), said(STATES_BOUND)),
        (said(TIMES_RISK), said(TIMES_CHECK), margin, said(TIMES_BOUND)),
        (said(LOGS_RISK), said(LOGS_CHECK), said(LOGS_EVIDENCE, digest=checked.digest), said(LOGS_BOUND)),
        (said(MOCK_RISK), said(MOCK_CHECK), said(MOCK_EVIDENCE), said(PUBLIC_BOUND)),
        (said(SCHEMA_RISK), said(SCHEMA_CHECK), schema, said(PUBLIC_BOUND)),
    )
    return tuple(Channel(name, *row) for name, row in zip(CHANNELS, rows, strict=True))


def _rounds(rounds: int) -> Sentence:
    return said(STATES_EVIDENCE_ONCE) if rounds == 1 else said(STATES_EVIDENCE, rounds=rounds)


def _release(plan: Plan, unit: str, cost: Cost) -> tuple[Sentence, Sentence, Sentence, Sentence]:
    """Of the weights or the counts that are released."""
    risk = said(MEMBERSHIP, unit=unit)
    if plan.privacy is None or cost.membership is None:
        return risk, said(UNCHECKED), said(NO_FIGURES), said(NOTHING_BOUNDS)
    check = said(NOISED_SUMS if isinstance(plan, GramPlan) else NOISED)
    if isinstance(plan, TrainingPlan):
        check = said(CLIPPED, unit=unit)
    noise, delta = f"{plan.privacy.noise_multiplier:g}", rounded.number(plan.privacy.delta)
    evidence = said(NOISE_FIGURES_ONCE, noise=noise, unit=unit, delta=delta)
    if plan.total_steps != 1:
        evidence = said(NOISE_FIGURES, noise=noise, unit=unit, steps=plan.total_steps, delta=delta)
    return risk, check, evidence, said(TEST_FINDS, power=percent(cost.membership.powers[1]))
