"""Counts of findings in the terminal: each hospital's, and all together with the noise of all."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest

from policies.plans.releases import EvaluationPlan, ReleaseSpec
from policies.plans.training import ModelSpec
from policies.terminal.rich_terminal import PlainConsole

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.counts.noised_statistics import statistics_of
    from researcher.counts.releases import Released
    from researcher.terminal.counting_session import _evaluated
    from researcher.terminal.tables import finding_statistics_table

NAMES = ("disc", "ring")
COUNTS = np.array([[[60, 20], [10, 30]], [[150, 50], [40, 40]]], float)  # of each finding TN, FP; FN, TP


def rows_of(table: Any) -> list[list[str]]:
    stream = io.StringIO()
    PlainConsole(file=stream, width=200).print(table)
    lines = [line.strip() for line in stream.getvalue().splitlines() if any(sign.isalnum() for sign in line)]
    return [line.split() for line in lines]


@pytest.fixture
def released() -> Released:
    scores = np.zeros((2, 2, 20))
    scores[:, 0, 3], scores[:, 1, 16] = 500, 400
    arrays = {name: {"finding_counts": COUNTS, "scores": scores} for name in ("north", "south")}
    return Released(arrays, 2.0, {"north": 0.5, "south": 0.75}, {})


def test_each_finding_has_a_line_at_each_hospital_and_in_the_sum_over_all(released: Released) -> None:
    plan = EvaluationPlan("s", "d", ModelSpec("linear", (4, 4, 1), 2, {}, "multi"), 1, ReleaseSpec(1.0, 1e-5), 20)
    rows = rows_of(_evaluated(plan, released, NAMES))
    assert [row[0] for row in rows] == ["datasite", "north", *NAMES, "south", *NAMES, "all", *NAMES]
    disc_at_north, disc_of_all = rows[2], rows[8]
    assert disc_at_north[1] == "1.000"  # AUROC: every picture with it scores higher
    assert [disc_at_north[k] for k in (3, 5, 7)] == ["0.667", "0.750", "0.750"]  # F1, sensitivity, specificity
    assert (disc_at_north[9], disc_of_all[9]) == ("40", "80")
    assert "0.50" in rows[1] and "0.75" in rows[4]


def test_statistics_of_findings_have_a_line_for_each_finding() -> None:
    told = statistics_of(
        {
            "finding_counts": np.array([[50, 30, 20], [90, 5, 5]]),
            "channel_sums": np.array([40.0]),
            "channel_square_sums": np.array([20.0]),
        },
        noise_std=0,
    )
    rows = rows_of(finding_statistics_table({"north": told}, NAMES, {"north": 0.25}))
    assert rows[1][:8] == ["north", "disc", "30", "30–30", "50", "50–50", "20", "20–20"]
    assert rows[1][-1] == "0.25" and rows[2][:2] == ["ring", "5"]
