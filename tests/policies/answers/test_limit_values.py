"""Limits' values are told as an officer writes them, and are read as they were told or as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.answers.limit_values import read_limit, told_limit
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
def test_a_limit_is_told_as_people_write_it_and_is_read_as_it_was_told_or_as_json(value: Any, text: str) -> None:
    assert told_limit(value) == text
    assert read_limit(text) == read_limit(json.dumps(value)) == value
    assert (type(read_limit(text)) is bool) is isinstance(value, bool)


@pytest.mark.parametrize(
    ("names", "text"),
    [(["built_in", "graph"], "built_in, graph"), (["graph"], "graph"), (["built_in"], "built_in"), ([], "none")],
)
def test_names_of_a_limit_are_read_as_they_were_told_or_as_json(names: list[str], text: str) -> None:
    assert told_limit(names) == text
    assert read_limit(text) == read_limit(text.replace(" ", "")) == read_limit(json.dumps(names)) == names


@pytest.mark.parametrize(
    "text", ["", "nine", "NaN", "1 to NaN", "1 to", "1 to 2 to 3", "yess", "Infinity", "graph, nine", "graph,", ","]
)
def test_what_is_no_value_of_a_limit_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"value|range|Expecting|Extra|compliant"):
        read_limit(text)


@pytest.mark.parametrize(
    "limits",
    [
        DatasetLimits(model_sources=(), allow_non_private=True),
        DatasetLimits(total=PrivacyBudget(8.123456789012345, 1.2345678901234567e-07), model_sources=("graph",)),
    ],
    ids=str,
)
def test_every_limit_is_read_as_it_is_told_to_its_last_digit(limits: DatasetLimits) -> None:
    for value in by_name(limits).values():
        assert read_limit(told_limit(value)) == value
