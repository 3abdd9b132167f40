"""The sentence of odds states no less than any test can find, and says the privacy unit as it is."""

from __future__ import annotations

import pytest

from policies.answers.odds import odds, percent, unit_of
from policies.answers.plain_values import from_plain, to_plain
from policies.answers.sentence import Sentence, said
from policies.budget.membership import FALSE_ALARM_RATES, MembershipBounds
from policies.errors import FederationError


def bounds(power: float) -> MembershipBounds:
    return MembershipBounds(FALSE_ALARM_RATES, (power / 2, power, 1.0), 1.0)


@pytest.mark.parametrize(("power", "found"), [(0.01, "1"), (0.0101, "2"), (0.2, "20"), (0.2301, "24"), (0.989, "99")])
def test_the_number_is_rounded_up(power: float, found: str) -> None:
    assert odds(bounds(power), "patient").values == {"found": found}


@pytest.mark.parametrize("power", [0.991, 1.0])
def test_a_bound_that_rounds_to_everybody_is_called_none(power: float) -> None:
    assert "bounds hardly anything" in odds(bounds(power), "patient").text


def test_a_promise_for_pictures_says_that_it_is_not_one_for_patients() -> None:
    patient, picture = (odds(bounds(0.1), unit).text for unit in ("patient", "picture"))
    for unit in ("patient", "picture"):
        assert [unit_of(odds(one, unit)) for one in (bounds(0.1), bounds(1.0), None)] == [unit] * 3
    assert "at most 10 in 100 patients who did" in patient
    assert "at most 10 in 100 pictures" in picture
    assert "single pictures: a patient with several is protected less" in picture


@pytest.mark.parametrize("unit", ["patient", "picture"])
def test_without_differential_privacy_nothing_bounds_it(unit: str) -> None:
    assert f"nothing bounds what the releases tell of one {unit}" in odds(None, unit).text


def test_a_share_in_percent_is_rounded_up() -> None:
    assert [percent(share) for share in (0.001, 0.0101, 0.5, 1.0, 0.99999)] == [
        "0.1 %",
        "1.1 %",
        "50.0 %",
        "100.0 %",
        "100.0 %",
    ]


def test_a_sentence_keeps_its_template_and_its_values_apart_on_its_way() -> None:
    sentence = said("{count} numbers in {rounds} rounds", count=1234567, rounds=3)
    assert sentence.text == "1,234,567 numbers in 3 rounds"
    assert from_plain(Sentence, to_plain(sentence), FederationError) == sentence
