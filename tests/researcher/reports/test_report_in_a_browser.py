"""A study's report on a narrow screen: wide tables scroll on their own, and a shade at the edge says so."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Locator, sync_playwright
from support.browsers import MISSING, SWITCHES, chromium

from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.evaluation.evaluation import Evaluation
from researcher.reports import StudyResult, write_report
from researcher.studies.history import History, PrivacySpent, RoundRecord

pytestmark = pytest.mark.skipif(not chromium(), reason=MISSING)

NARROW = {"width": 400, "height": 900}
PLAN = TrainingPlan(
    "cells", "smears", ModelSpec("small_cnn", (32, 32, 3), 2), 1, 4, 0.125, 0.5, privacy=PrivacySpec(1.5, 1.0, 1e-5)
)


def report(folder: Path) -> Path:
    """The report of a study of one round at two hospitals."""
    seconds = {"queue": 1.0, "transfer": 2.0, "train": 5.0, "aggregate": 0.5, "total": 10.0}
    scores = Evaluation(0.75, 0.7, (0.7, 0.7), ((6, 2), (1, 3)))
    ran = RoundRecord(
        1, ("north", "south"), 0.75, 0.7, scores.confusion, seconds, 1000, 1000, {"north": 0.5, "south": 0.75}
    )
    spent = {name: PrivacySpent(1.5, 1e-5, "picture") for name in ("north", "south")}
    local = {"north": scores, "south": scores}
    sizes = {"north": 100, "south": 300}
    result = StudyResult(
        PLAN, ("red", "white"), 12345, public_sizes=sizes, privacy=spent, history=History([ran]), local_only=local
    )
    write_report(folder, result)
    return folder / "report.html"


def darkness(table: Locator, column: int) -> float:
    """How dark a column of pixels of the table's place is, in its padding between two lines: 0 is white."""
    pixels = np.asarray(Image.open(io.BytesIO(table.screenshot())).convert("L"), dtype=float)
    return float(255 - np.median(pixels[:, column]))


def test_a_table_wider_than_the_screen_has_a_shade_where_it_goes_on(tmp_path: Path) -> None:
    file = report(tmp_path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(SWITCHES))
        page = browser.new_context(viewport=NARROW, bypass_csp=True).new_page()
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
        assert Axe().run(page).response["violations"] == []
        tables = [one for one in page.locator(".scroll").all() if one.is_visible()]
        assert len(tables) == 2
        for table in tables:
            needed, there = table.evaluate("one => [one.scrollWidth, one.clientWidth]")
            assert needed > there
            assert darkness(table, 0) == 0 and darkness(table, -1) > 30, "it goes on to the right"
            table.evaluate("one => { one.scrollLeft = one.scrollWidth; }")
            assert darkness(table, 0) > 30 and darkness(table, -1) == 0, "it goes on to the left alone"
        page.set_viewport_size({"width": 1200, "height": 900})
        assert all(darkness(table, column) == 0 for table in tables for column in (0, -1)), "there is room for all"
        browser.close()


def test_a_report_is_dark_where_the_reader_wants_it_so_plots_too(tmp_path: Path) -> None:
    file = report(tmp_path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(SWITCHES))
        page = browser.new_context(viewport=NARROW, bypass_csp=True, color_scheme="dark").new_page()
        page.goto(file.as_uri())
        assert Axe().run(page).response["violations"] == []
        seen = np.asarray(Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB"), dtype=int)
        ground = seen[2, 2]
        assert ground.max() < 40
        assert (seen.min(axis=2) > 200).mean() < 0.05, "letters and lines alone are light"
        plot = page.locator(".plots img").first
        drawn = np.asarray(Image.open(io.BytesIO(plot.screenshot())).convert("RGB"), dtype=int)
        assert np.abs(drawn[3, 3] - ground).max() <= 2, "what was the plot's paper is the page"
        assert drawn.max() > 150, "what was drawn is seen"
        browser.close()
