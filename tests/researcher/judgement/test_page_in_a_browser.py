"""The page of a judgement in a real browser: no request to anywhere, no script, readable light, dark and narrow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from support.browsers import MISSING, SWITCHES, chromium
from support.judged_models import npz, onnx_model

from researcher.judgement.bootstrap import Bootstrap
from researcher.judgement.judge import judge
from researcher.judgement.test_data import About

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not chromium(), reason=MISSING)]

LINES_OF_A_NAME = """all => all.map(cell => {
    cell.textContent = "white_cell";
    const range = document.createRange();
    range.selectNodeContents(cell);
    return new Set([...range.getClientRects()].map(box => box.top)).size;
})"""


def test_the_page_is_complete_in_itself_and_readable(tmp_path: Path) -> None:
    data = npz(tmp_path / "test.npz", sites=np.array(["north", "south"] * 40), sex=np.array(["f", "m"] * 40))
    found = judge(
        onnx_model(tmp_path),
        data,
        about=About(group_columns=("sex",)),
        calibrate_on=npz(tmp_path / "other.npz", seed=1),
        against=onnx_model(tmp_path, "other.onnx"),
        bootstrap=Bootstrap(40),
        speed=False,
    )
    file = found.save_page(tmp_path / "page.html")
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(SWITCHES))
        for scheme in ("light", "dark"):
            context = browser.new_context(color_scheme=scheme, viewport={"width": 420, "height": 900}, bypass_csp=True)
            page = context.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.goto(file.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") == 420
            assert Axe().run(page).response["violations"] == []
            assert page.locator("h2").all_inner_texts()[:2] == ["What this says", "What limits it"]
        wide = browser.new_page(viewport={"width": 1100, "height": 900})
        wide.goto(file.as_uri())
        widths = wide.locator(".scroll").evaluate_all("all => all.map(one => [one.scrollWidth, one.clientWidth])")
        assert len(widths) > 4 and all(needed <= there for needed, there in widths)
        lines = wide.locator(".compact tbody th").evaluate_all(LINES_OF_A_NAME)
        assert len(lines) > 1 and set(lines) == {1}
        browser.close()
    assert set(asked) == {file.as_uri()}
