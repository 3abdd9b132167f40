"""What noised counts of findings say: right where there is no noise, and uncertain where the noise makes it so."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from policies.errors import DataError
from researcher.counts.intervals import Interval
from researcher.counts.noised_findings import NoisedFindings, findings_of
from researcher.counts.noised_metrics import auroc_of
from researcher.counts.noised_statistics import FindingCounts, statistics_of

COUNTS = np.array([[[60, 20], [10, 30]], [[150, 50], [40, 40]]])  # of each finding TN, FP; FN, TP
EVERYTHING = Interval(0.5, 0.0, 1.0)


def intervals(found: NoisedFindings) -> list[Interval]:
    return [found.macro_f1, *(value for finding in found.findings for value in vars(finding).values())]


def test_without_noise_the_values_are_those_of_the_counts() -> None:
    found = findings_of(COUNTS, noise_std=0)
    first, second = found.findings
    assert (first.sensitivity.value, first.specificity.value, first.f1.value) == (0.75, 0.75, pytest.approx(60 / 90))
    assert second.f1.value == pytest.approx(80 / 170)
    assert found.macro_f1.value == pytest.approx((60 / 90 + 80 / 170) / 2)
    assert first.present == Interval(40, 40, 40) and first.absent == Interval(80, 80, 80)
    expected = stats.binomtest(30, 40).proportion_ci(0.95, method="wilson")
    assert (first.sensitivity.low, first.sensitivity.high) == pytest.approx(tuple(expected), abs=1e-9)


def test_a_finding_that_the_noise_hides_may_be_anything() -> None:
    found = findings_of(np.array([COUNTS[0], [[200, 3], [1, 2]]]), noise_std=6)
    assert found.findings[1].f1 == EVERYTHING
    assert found.findings[1].sensitivity.low == 0 and found.findings[1].sensitivity.high == 1
    assert found.macro_f1.high - found.macro_f1.low > 0.5
    for interval in intervals(findings_of(-np.abs(COUNTS), noise_std=5)):
        assert np.isfinite([interval.low, interval.value, interval.high]).all()
        assert interval.low <= interval.value <= interval.high


def test_more_noise_is_never_more_certain() -> None:
    widths = [
        np.array([one.high - one.low for one in intervals(findings_of(10 * COUNTS, noise_std=noise))])
        for noise in (0, 20, 60)
    ]
    assert (widths[0] <= widths[1] + 1e-9).all() and (widths[1] <= widths[2] + 1e-9).all()


def test_intervals_cover_what_they_are_of_as_often_as_they_say() -> None:
    rng, chances, noise = np.random.default_rng(1), np.array([0.5, 0.1, 0.1, 0.3]), 8.0
    truth = (0.3 / 0.4, 0.5 / 0.6, 0.6 / 0.8)
    hits, times = np.zeros(3), 150
    for _ in range(times):
        counts = rng.multinomial(rng.poisson(600), chances, size=2).reshape(2, 2, 2) + noise * rng.standard_normal(
            (2, 2, 2)
        )
        found = findings_of(counts, noise_std=noise, draws=300).findings[0]
        told = (found.sensitivity, found.specificity, found.f1)
        hits += [one.low <= value <= one.high for one, value in zip(told, truth, strict=True)]
    assert (hits / times > 0.9).all()


def test_many_findings_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = findings_of(COUNTS, noise_std=3, draws=300)
    monkeypatch.setattr("researcher.counts.intervals._DRAWN_AT_ONCE", 8 * 70)
    parts = findings_of(COUNTS, noise_std=3, draws=300)
    assert whole.macro_f1.value == parts.macro_f1.value
    assert parts.macro_f1.low == pytest.approx(whole.macro_f1.low, abs=0.05)


def test_the_auroc_of_a_finding_is_that_of_its_histograms() -> None:
    scores = np.array([[[30, 10, 0], [0, 10, 30]], [[20, 20, 20], [20, 20, 20]]])
    found = auroc_of(scores, noise_std=0)
    assert [one.value for one in found.per_class] == pytest.approx([1 - 0.5 / 16, 0.5])


@pytest.mark.parametrize(
    "counts", [np.ones((2, 2)), np.ones((1, 2, 2)), np.ones((2, 2, 3)), np.full((2, 2, 2), np.nan)]
)
def test_what_is_no_table_of_counts_is_refused(counts: np.ndarray) -> None:
    with pytest.raises(DataError, match="finding_counts"):
        findings_of(counts, noise_std=1)


# --- statistics ---

RELEASED = {
    "finding_counts": np.array([[50, 30, 20], [90, 5, 5]]),
    "channel_sums": np.array([40.0]),
    "channel_square_sums": np.array([20.0]),
}


def test_statistics_of_findings_say_absent_present_and_unknown_and_know_the_number_of_units() -> None:
    found = statistics_of(RELEASED, noise_std=0)
    assert found.class_counts == ()
    assert found.finding_counts[0] == FindingCounts(Interval(50, 50, 50), Interval(30, 30, 30), Interval(20, 20, 20))
    assert found.channel_mean[0].value == 0.4  # over 100 units: each finding's counts add up to them
    assert found.channel_std[0].value == pytest.approx(0.2)


def test_the_number_of_units_is_as_certain_as_all_findings_counts_together_make_it() -> None:
    """Twelve findings say it with half the noise of three."""
    few, many = (
        statistics_of(
            {**RELEASED, "finding_counts": np.tile(RELEASED["finding_counts"][:1] * 10, (k, 1))}, noise_std=20
        )
        for k in (3, 12)
    )
    width = [one.channel_mean[0].high - one.channel_mean[0].low for one in (few, many)]
    assert width[1] < width[0]


def test_statistics_with_counts_of_both_kinds_are_refused() -> None:
    with pytest.raises(DataError, match="class_counts or finding_counts"):
        statistics_of({**RELEASED, "class_counts": np.ones(2)}, noise_std=1)
