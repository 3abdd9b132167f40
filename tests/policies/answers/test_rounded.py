"""Epsilons and deltas as people read them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from policies.answers import rounded

PROJECT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("epsilon", "cost", "left"),
    [
        (5.444, "5.45", "5.44"),
        (5.4400001, "5.45", "5.44"),
        (5.44, "5.44", "5.44"),
        (0.1 + 0.2, "0.30", "0.30"),
        (1.2559, "1.26", "1.25"),
        (0.0, "0.00", "0.00"),
        (1e-6, "0.01", "0.00"),
        (math.inf, "inf", "inf"),
    ],
)
def test_a_cost_is_never_told_smaller_and_what_is_left_never_larger(epsilon: float, cost: str, left: str) -> None:
    assert (rounded.cost(epsilon), rounded.left(epsilon)) == (cost, left)


@pytest.mark.parametrize(
    ("value", "told", "setting"),
    [
        (1e-5, "1e-5", "1e-5"),
        (1.1e-12, "1.1e-12", "1.1e-12"),
        (0.25, "0.25", "0.25"),
        (2.0, "2", "2"),
        (1e22, "1e22", "1e22"),
        (1.0000000000001, "1", "1.0000000000001"),
        (math.inf, "inf", "inf"),
    ],
)
def test_a_number_is_told_one_way_and_a_setting_to_its_last_digit(value: float, told: str, setting: str) -> None:
    assert (rounded.number(value), rounded.setting(value)) == (told, setting)
    assert rounded.at_delta(5.444, value) == f"epsilon 5.45 at delta {told}"


def test_a_setting_that_is_no_number_with_a_point_is_told_as_it_is() -> None:
    assert [rounded.setting(value) for value in (True, 3, None, "cosine", (1e-5,))] == [
        *("True", "3", "None", "cosine", "(1e-05,)"),
    ]


def test_no_text_writes_a_delta_in_a_way_of_its_own() -> None:
    own = re.compile(r"""delta["'\])]*:\.?\d*[ge]\}|"%g" \| format""")
    files = [file for top in ("policies", "datasites", "researcher") for file in (PROJECT / top).rglob("*.*")]
    texts = [file for file in files if file.suffix in (".py", ".jinja")]
    assert len(texts) > 900 and own.search('f"{plan.delta:g}"') and own.search("{card['delta']:g}")
    assert [str(file) for file in texts if own.search(file.read_text(encoding="utf-8"))] == []
