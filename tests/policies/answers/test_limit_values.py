"""Limits' values are told as an officer writes them, and are read as they were told or as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.answers.limit_values import read_limit, told_limit, typed_limit
from policies.budget.limit_changes import by_name
from policies.budget.limits import DatasetLimits, PrivacyBudget


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-05, "0.00001"),
        (8.0, "8"),
        (20_000, "20000"),
        (0.1, "0.1"),
        (2.5e-12, "0.0000000000025"),
        (1e-13, "1e-13"),
        (1e22, "10000000000000000000000"),
        (True, "yes"),
        (False, "no"),
        ([0.0001, 1.0], "0.0001 to 1"),
    ],
)
def test_a_limit_is_told_told_limit_it_and_is_read_as_it_was_told_or_as_json(value: Any, text: str) -> None:
    assert told_limit(value) == text
    assert read_limit(text) == read_limit(json.dumps(value)) == value
    assert (type(read_limit(text)) is bool) is isinstance(value, bool)


def test_names_of_a_limit_are_told_as_a_list_and_read_as_json() -> None:
    assert told_limit(["built_in", "graph"]) == "built_in, graph" and told_limit([]) == "none"
    assert read_limit('["built_in", "graph"]') == ["built_in", "graph"]


@pytest.mark.parametrize("text", ["", "nine", "NaN", "1 to NaN", "1 to", "1 to 2 to 3", "yess", "Infinity"])
def test_what_is_no_value_of_a_limit_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"value|range|Expecting|Extra|compliant"):
        read_limit(text)


def test_every_number_of_a_limit_is_told_to_its_last_digit() -> None:
    for name, value in by_name(DatasetLimits(total=PrivacyBudget(8.123456789012345, 1.2345678901234567e-07))).items():
        if not isinstance(value, list) or name != "model_sources":
            assert read_limit(told_limit(value)) == value


@pytest.mark.parametrize("limits", [DatasetLimits(), DatasetLimits(model_sources=(), allow_non_private=True)], ids=str)
def test_what_is_to_be_typed_of_a_limit_is_read_as_the_limit(limits: DatasetLimits) -> None:
    for value in by_name(limits).values():
        assert read_limit(typed_limit(value)) == value
    assert typed_limit(False) == "no" and typed_limit(8.0) == "8" and typed_limit((0.01, 10.0)) == "0.01 to 10"
    assert typed_limit(["built_in", "graph"]) == '["built_in", "graph"]'
