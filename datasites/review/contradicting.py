"""Texts of a plan that say another number, unit or kind of work than the plan itself. What is computed stays with it.

Rules of thumb, as those of `misleading`: a figure is held against the plan's own only where the words beside it leave
little doubt what it is meant to be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

from policies.answers import rounded
from policies.answers.sentence import Sentence, said
from policies.plans.kinds import Plan
from policies.plans.training import TrainingPlan

SAYS_LESS_EPSILON = "{field} tells of an epsilon of {told}. By its plan the whole request costs {computed}."
SAYS_FEWER_ROUNDS = "{field} tells of a number of rounds, {told}. The plan has {computed}."
SAYS_PATIENTS = "{field} says that patients are protected. The plan protects single pictures."
SAYS_NO_TRAINING = "{field} says that nothing is trained. The plan trains a model on this hospital's pictures."

_NUMBER = r"(\d{1,6}(?:\.\d{1,6})?)(?![\d%]|\.\d)"
# What stands before the number is never looked at a second time (*+): a text may hold as much of it as it likes.
_EPSILON = re.compile(
    r"(?:\bepsilon|[εϵ]|\bprivacy budget)\s*+"
    rf"(?:(?:of|is|=|:|<|≤|below|under|up to|at most|only|about|为|不超过)\s*+)*+{_NUMBER}",
    re.IGNORECASE,
)
_ROUNDS = re.compile(rf"\b{_NUMBER}\s*(?:training |federated )?rounds?\b|(\d{{1,6}})\s*轮", re.IGNORECASE)
# What an earlier study or a limit is told to be is no claim about this request.
_OF_ANOTHER = re.compile(
    r"\b(?:earlier|previous|prior|last|first|pilot|other|another|limit|maximum|per|each|every|remaining|left)\b"
    r"|每轮|上限|之前|此前",
    re.IGNORECASE,
)
_PATIENTS = re.compile(
    r"\b(?:patient|person|subject)[- ]?level (?:\w+ )?(?:privacy|protection|guarantee|dp)\b"
    r"|\b(?:privacy|protection|guarantee|dp) (?:is )?(?:per|(?:for|of) (?:each|every)) (?:patient|person|subject)\b"
    r"|\b(?:protects|protecting) (?:each|every|all|whole) (?:patients?|persons?|subjects?)\b"
    r"|患者级(?:别)?隐私|保护每(?:个|位)患者",
    re.IGNORECASE,
)
_NO_TRAINING = re.compile(
    r"\bno (?:model )?training (?:takes place|is done|is involved|happens|occurs)\b|\bnothing is trained\b"
    r"|\b(?:does not|will not|won't|doesn't) train\b"
    r"|\b(?:only|just|merely) (?:\w+ )?(?:statistics|counts|an evaluation|evaluates|evaluation|validation)\b"
    r"(?! (?:(?:may|can|will|shall|ever|are|is|be) )*(?:leave|leaves|released|shared|sent|published|given|seen)\b)"
    r"|不(?:会)?训练|仅(?:做)?(?:统计|评估)",
    re.IGNORECASE,
)


def contradicting(texts: Mapping[str, str], plan: Plan, epsilon: float | None) -> Iterator[Sentence]:
    """What in texts is another figure or kind than the plan's own; nothing for texts that agree with it or tell none.

    More epsilon or rounds than the plan's own are no fault, since a text may say "at most".

    Args:
        texts: What the researcher wrote, by the name of its field.
        plan: The request's plan.
        epsilon: What the whole request costs, as the ledger would charge it; None without differential privacy.
    """
    for field, text in texts.items():
        plain = " ".join(unicodedata.normalize("NFKC", text).split())
        clauses = [one for one in re.split(r"[;!?。；！？,，]|\.(?!\d)", plain) if not _OF_ANOTHER.search(one)]
        told = [float(one) for clause in clauses for one in _EPSILON.findall(clause)]
        if epsilon is not None and told and min(told) < 0.99 * epsilon:
            yield said(SAYS_LESS_EPSILON, field=field, told=f"{min(told):g}", computed=rounded.cost(epsilon))
        rounds = [float(one or other) for clause in clauses for one, other in _ROUNDS.findall(clause)]
        if rounds and min(rounds) < plan.rounds:
            yield said(SAYS_FEWER_ROUNDS, field=field, told=f"{min(rounds):g}", computed=plan.rounds)
        if plan.privacy is not None and plan.privacy.unit == "picture" and _PATIENTS.search(plain):
            yield said(SAYS_PATIENTS, field=field)
        if isinstance(plan, TrainingPlan) and _NO_TRAINING.search(plain):
            yield said(SAYS_NO_TRAINING, field=field)
