"""The five questions of a data-protection officer (Five Safes), answered from the plan and the hospital's own terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datasites.review.review import Cost, Question
from policies.answers.sentence import Sentence, said
from policies.plans.kinds import Plan
from policies.plans.training import TrainingPlan

PURPOSE_COMPUTED = "What is done with the data follows from the plan alone, not from what is said of it:"
PURPOSE_STATED = "The researcher's own words on the purpose stand apart. Nobody has checked them."
PURPOSE_MISSING = "The researcher states no purpose. Ask for it."
DATA_WHICH = "Dataset {dataset}, version {version}: {modality}, {size} {unit}s by its public size, {classes} classes."
DATA_WHICH_UNNAMED = "Dataset {dataset}, version {version}: {size} {unit}s by its public size, {classes} classes."
DATA_STAY = "The data stay in the hospital; the request names no other dataset and can reach none."
PEOPLE_WHO = "{researcher}, enrolled here since {since}; the account's key is {account}."
PEOPLE_UNKNOWN = "{researcher}; since when this researcher is enrolled is not known. The account's key is {account}."
PEOPLE_PROMISE = "The promise is for one {unit} of {size}."
PEOPLE_NO_PROMISE = "There is no promise for any of the {size} {unit}s."
SETTING_WHERE = (
    "On the hospital's own machine, in a sandbox without a network, that can read this dataset and write one answer."
)

if TYPE_CHECKING:
    from datasites.code_requests.canonical import CanonicalRequest
SETTING_HOW = "With the platform's own code, {digest}; the researcher sends no code."
OUTPUTS_CONTRACT = "What leaves is checked against the declared names, shapes and sizes; anything else is refused."


def questions_of(
    checked: CanonicalRequest,
    *,
    computed: Sentence,
    leaves: tuple[Sentence, ...],
    cost: Cost,
    enrolled_since: str,
    has_purpose: bool,
) -> tuple[Question, ...]:
    """Purpose, data, people, setting, outputs."""
    plan, manifest = checked.plan, checked.dataset.manifest
    unnamed = manifest.modality == "other"
    data = said(
        DATA_WHICH_UNNAMED if unnamed else DATA_WHICH,
        dataset=manifest.name,
        version=manifest.dataset_version,
        **({} if unnamed else {"modality": manifest.modality}),
        size=manifest.public_size,
        unit=manifest.unit,
        classes=len(manifest.class_names),
    )
    known = bool(enrolled_since)
    who = said(
        PEOPLE_WHO if known else PEOPLE_UNKNOWN,
        researcher=checked.researcher,
        account=checked.account,
        **({"since": enrolled_since[:10]} if known else {}),
    )
    promise = said(PEOPLE_PROMISE if plan.privacy else PEOPLE_NO_PROMISE, unit=manifest.unit, size=manifest.public_size)
    return (
        Question(
            "purpose", (said(PURPOSE_STATED if has_purpose else PURPOSE_MISSING), said(PURPOSE_COMPUTED), computed)
        ),
        Question("data", (data, said(DATA_STAY))),
        Question("people", (who, promise, cost.odds)),
        Question("setting", (said(SETTING_WHERE), said(SETTING_HOW, digest=_code(plan)))),
        Question("outputs", (*leaves, said(OUTPUTS_CONTRACT))),
    )


def _code(plan: Plan) -> str:
    """Which part of the platform computes."""
    return plan.run.engine if isinstance(plan, TrainingPlan) else plan.kind
