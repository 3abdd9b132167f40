"""A decision record as a browser shows and prints it: within screen and sheet, light on paper, its digests whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.reviewed import PLAN, reviewed_datasite

from datasites.pages.languages.languages import CODES
from datasites.review.page import signed_page
from datasites.review.record import record_of
from policies.ledger.receipt import public_key

SEED = bytes(range(32))
WITHIN_THE_MARGINS = 673  # of a sheet A4 at 96 points an inch: 178 mm
CUT = (
    "[...document.querySelectorAll('code, dd, td, p, h1')].filter(one => one.scrollWidth > one.clientWidth + 1).length"
)


@pytest.fixture(params=CODES)
def record(request: pytest.FixtureRequest, tmp_path: Path, drawn: Path) -> Path:
    with reviewed_datasite(tmp_path / "north", drawn) as datasite:
        asked = datasite.request(PLAN)
        datasite.books.audit.write("request approved", request=asked, by="ada, grace", digest="d" * 64)
        datasite.approve(asked, by="ada, grace")
        made = record_of(
            datasite.review(asked),
            datasite.books,
            datasite="north",
            public_key=public_key(SEED),
            language=request.param,
        )
    file = tmp_path / "record.html"
    file.write_text(signed_page(made, SEED))
    return file


def test_a_record_prints_light_and_whole_with_its_digests_and_its_signature(browser: Browser, record: Path) -> None:
    context = browser.new_context(color_scheme="dark", viewport={"width": WITHIN_THE_MARGINS, "height": 900})
    page = context.new_page()
    page.goto(record.as_uri())
    printed = page.pdf(prefer_css_page_size=True)
    page.emulate_media(media="print")
    colours = page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    shown = page.locator("body").inner_text()
    assert colours == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    assert page.evaluate("document.documentElement.scrollWidth") <= WITHIN_THE_MARGINS
    assert page.evaluate(CUT) == 0
    context.close()
    digests = set(re.findall(r"<code[^>]*>([0-9a-f]{64,128})</code>", record.read_text()))
    assert len(digests) >= 4 and all(one in shown for one in digests)
    assert printed.startswith(b"%PDF-") and 2 <= len(re.findall(rb"/Type\s*/Page\b(?!s)", printed)) <= 8


def test_a_record_is_read_on_a_telephone_with_every_cell_as_wide_as_words(browser: Browser, record: Path) -> None:
    context = browser.new_context(viewport={"width": 375, "height": 812})
    page = context.new_page()
    page.goto(record.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    widths = page.locator("dd, .stacked tbody :is(th, td)").evaluate_all("all => all.map(one => one.clientWidth)")
    assert widths and min(widths) > 300
    assert page.evaluate(CUT) == 0
    context.close()
