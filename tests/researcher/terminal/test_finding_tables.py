"""Counts in the terminal: each hospital's, and all together with the noise of all; names stay whole at 80 columns."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
from rich.console import Group

from policies.plans.releases import EvaluationPlan, ReleaseSpec
from policies.plans.training import ModelSpec
from policies.terminal.rich_terminal import PlainConsole

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.counts.intervals import Interval
    from researcher.counts.noised_findings import NoisedFinding, NoisedFindings
    from researcher.counts.noised_metrics import NoisedAuroc, NoisedMetrics
    from researcher.counts.noised_statistics import statistics_of
    from researcher.counts.releases import Released
    from researcher.terminal.evaluated import evaluated
    from researcher.terminal.tables import (
        evaluation_table,
        finding_evaluation_table,
        finding_statistics_table,
        statistics_table,
    )

NAMES = ("disc", "ring")
COUNTS = np.array([[[60, 20], [10, 30]], [[150, 50], [40, 40]]], float)  # of each finding TN, FP; FN, TP


def text_of(told: Any, width: int) -> str:
    stream = io.StringIO()
    PlainConsole(file=stream, width=width).print(told)
    return stream.getvalue()


def tables_of(told: Group) -> list[list[list[str]]]:
    """Of each table the lines, as words."""
    tables = [text_of(table, 200).splitlines() for table in told.renderables]
    return [[line.split() for line in lines if any(sign.isalnum() for sign in line)] for lines in tables]


@pytest.fixture
def released() -> Released:
    scores = np.zeros((2, 2, 20))
    scores[:, 0, 3], scores[:, 1, 16] = 500, 400
    arrays = {name: {"finding_counts": COUNTS, "scores": scores} for name in ("north", "south")}
    return Released(arrays, 2.0, {"north": 0.5, "south": 0.75}, {})


def test_each_finding_has_a_line_at_each_hospital_and_in_the_sum_over_all(released: Released) -> None:
    plan = EvaluationPlan("s", "d", ModelSpec("linear", (4, 4, 1), 2, {}, "multi"), 1, ReleaseSpec(1.0, 1e-5), 20)
    means, scores, counts = tables_of(evaluated(plan, released, NAMES))
    assert [row[0] for row in means] == ["datasite", "north", "south", "all"]
    assert "0.50" in means[1] and "0.75" in means[2]
    for rows in (scores, counts):
        assert [row[0] for row in rows] == ["datasite", "north", "ring", "south", "ring", "all", "ring"]
        assert [rows[k][1] for k in (1, 3)] == ["disc", "disc"]
    disc, f1 = scores[1], counts[1]
    assert [disc[k] for k in (2, 4, 6)] == ["1.000", "0.750", "0.750"]  # AUROC (all with it score higher), rates
    assert (f1[2], f1[4], counts[5][5]) == ("0.667", "40", "80")


def test_statistics_of_findings_have_a_line_for_each_finding() -> None:
    told = statistics_of(
        {
            "finding_counts": np.array([[50, 30, 20], [90, 5, 5]]),
            "channel_sums": np.array([40.0]),
            "channel_square_sums": np.array([20.0]),
        },
        noise_std=0,
    )
    rows, channels = tables_of(finding_statistics_table({"north": told}, NAMES, {"north": 0.25}))
    assert rows[1] == ["north", "disc", "30", "30–30", "50", "50–50", "20", "20–20"]
    assert rows[2][:2] == ["ring", "5"]
    assert channels[1][:3] == ["north", "0.40", "0.40–0.40"] and channels[1][-1] == "0.25"


def test_names_and_intervals_stay_whole_in_a_terminal_of_80_columns() -> None:
    """Four classes or findings at hospitals of colour pictures: nothing is broken within a word."""
    hospitals, names = ("hospital_a", "hospital_b"), ("platelet", "red_cell", "white_cell", "cardiomegaly")
    interval = Interval(0.874, 0.848, 0.9)
    channels = {"channel_sums": np.full(3, 400.0), "channel_square_sums": np.full(3, 300.0)}
    classes = statistics_of({"class_counts": np.full(4, 1200.0), **channels}, noise_std=5)
    findings = statistics_of({"finding_counts": np.full((4, 3), 1200.0), **channels}, noise_std=5)
    scored = NoisedMetrics(interval, interval, (interval,) * 4, interval)
    found = NoisedFindings((NoisedFinding(*(interval,) * 5),) * 4, interval)
    auroc, epsilon = NoisedAuroc((interval,) * 4, interval), dict.fromkeys(hospitals, 0.73)
    for table in (
        statistics_table(dict.fromkeys(hospitals, classes), names, epsilon),
        finding_statistics_table(dict.fromkeys(hospitals, findings), names, epsilon),
        evaluation_table(dict.fromkeys(hospitals, (scored, auroc)), names, epsilon),
        finding_evaluation_table(dict.fromkeys(hospitals, (found, auroc)), names, epsilon),
    ):
        narrow, wide = (text_of(table, width) for width in (80, 200))
        assert max(map(len, narrow.splitlines())) <= 80
        assert {*hospitals, *names} <= set(narrow.split())
        assert {one for one in narrow.split() if "─" not in one} <= set(wide.split())
