"""Odds: what a privacy cost means for one person. Computed from noise and steps alone; may be told outside."""

from __future__ import annotations

import math

from policies.answers.sentence import Sentence, said
from policies.budget.membership import MembershipBounds

# One false alarm in a hundred is what the sentence is about.
STATED_RATE = 0.01

OF_A_PATIENT = (
    "Whoever sees all that is released and knows the data of every other patient, and takes 1 in 100 patients who did "
    "not take part for one who did, recognises at most {found} in 100 patients who did. Guessing finds 1 in 100."
)
OF_A_PICTURE = (
    "Whoever sees all that is released and knows every other picture, and takes 1 in 100 pictures that were not used "
    "for one that was, recognises at most {found} in 100 pictures that were. Guessing finds 1 in 100. This protects "
    "single pictures: a patient with several is protected less."
)
NOTHING_BOUNDS_IT = (
    "Without differential privacy nothing bounds what the releases tell of one {unit}: they may show whether it took "
    "part, and what it looks like."
)
NO_USEFUL_BOUND = (
    "The noise bounds hardly anything: whoever sees all that is released may recognise each single {unit} that took "
    "part."
)
AT_EACH_RATE = (
    "At false alarm rates of 0.1, 1 and 10 % no test of membership finds more than {lowest}, {middle} and {highest} of "
    "those who took part."
)
OF_BOTH = {"patient": OF_A_PATIENT, "picture": OF_A_PICTURE}


def odds(bounds: MembershipBounds | None, unit: str) -> Sentence:
    """One sentence of odds about one privacy unit.

    Guarantees:
        The number that it states is at least the power at a false alarm rate of 1 %, in hundredths rounded up.

    Args:
        bounds: What any test of membership can find; None without differential privacy.
        unit: `patient` or `picture`.
    """
    if bounds is None:
        return said(NOTHING_BOUNDS_IT, unit=unit)
    found = math.ceil(100 * bounds.powers[bounds.false_alarm_rates.index(STATED_RATE)])
    if found >= 100:
        return said(NO_USEFUL_BOUND, unit=unit)
    return said(OF_BOTH[unit], found=found)


def unit_of(sentence: Sentence) -> str:
    """What a sentence that `odds` made is about: `patient` or `picture`."""
    return str(sentence.values.get("unit") or next(unit for unit, one in OF_BOTH.items() if one == sentence.template))


def at_each_rate(bounds: MembershipBounds) -> Sentence:
    """The most that any test can find at each of the stated false alarm rates, rounded up."""
    lowest, middle, highest = map(percent, bounds.powers)
    return said(AT_EACH_RATE, lowest=lowest, middle=middle, highest=highest)


def percent(share: float) -> str:
    """A share as percent, rounded up to a tenth: what is stated is never less than what it is of."""
    tenths = math.ceil(round(1000 * share, 6))
    return f"{tenths // 10}.{tenths % 10} %"
