"""The picture of an own model as a browser draws it: on a telephone and in the dark, each text within its box."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.own_models import own_graph, own_spec
from support.reviewed import PLAN, SHAPE, reviewed_datasite

from datasites.review.page import signed_page
from datasites.review.record import record_of
from policies.graphs.overview.blocks import Block
from policies.graphs.summary import Layer
from policies.ledger.receipt import public_key

SEED = bytes(range(32))
LEAST_SIZE = 10  # of letters, in points of a screen
CROWDED = Block("blocks.0." + "W" * 60, {f"operator_{n}": 1000 for n in range(30)}, "(4B, 4096, 4096)", 10**8, 1, 2, 9)
WIDE = tuple(Block(letter * 200, {"conv2d": 1}, "(B, 8, 8, 8)", 10**6, 1, 1, 99) for letter in "WMmwQ_l")
LONG = Layer("W" * 200, "conv2d", "(B, 8, 8, 8)", 80, 10**9)
TEXTS = """() => [...document.querySelectorAll('.network svg text')].map(text => {
  const own = text.getBoundingClientRect()
  const boxes = [...document.querySelectorAll('.network svg rect')].map(box => box.getBoundingClientRect())
  const within = boxes.some(box => box.left <= own.left && own.right <= box.right
    && box.top <= own.top && own.bottom <= box.bottom)
  const scale = document.querySelector('.network svg').getScreenCTM().a
  return [within, parseFloat(getComputedStyle(text).fontSize) * scale, getComputedStyle(text).fill]
})"""

OVER_FIGURES = """() => [...document.querySelectorAll('.network svg .name')].filter(name =>
  name.getBoundingClientRect().right > name.nextElementSibling.getBoundingClientRect().left
).map(one => one.textContent)"""


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Path:
    folder = tmp_path_factory.mktemp("picture")
    with reviewed_datasite(folder / "north", drawn) as datasite:
        datasite.books.limits.change({"model_sources": ["built_in", "graph"]}, by="tests", reason="own models")
        request = datasite.request(replace(PLAN, study="own", model=own_spec(own_graph(SHAPE))))
        datasite.approve(request)
        made = record_of(datasite.review(request), datasite.books, datasite="north", public_key=public_key(SEED))
    own_model = made.review.own_model
    assert own_model is not None
    hostile = replace(own_model, blocks=(*own_model.blocks, CROWDED, *WIDE), layers=(*own_model.layers, LONG))
    review = replace(made.review, own_model=hostile)
    file = folder / "record.html"
    file.write_text(signed_page(replace(made, review=review), SEED))
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_text_is_within_its_box_and_large_enough(browser: Browser, record: Path, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 375, "height": 812}, color_scheme=scheme)
    page = context.new_page()
    page.goto(record.as_uri())
    found, over = page.evaluate(TEXTS), page.evaluate(OVER_FIGURES)
    fills = page.evaluate("[...document.querySelectorAll('.network svg rect')].map(one => getComputedStyle(one).fill)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert page.locator(".network svg").evaluate("one => one.querySelector('title').textContent") != ""
    context.close()
    assert len(found) >= 10
    assert all(within for within, _, _ in found)
    assert not over
    assert min(size for _, size, _ in found) >= LEAST_SIZE
    light = [sum(map(int, fill[4:-1].split(","))) > 384 for fill in {fill for _, _, fill in found}]
    ground = [sum(map(int, fill[4:-1].split(","))) > 384 for fill in set(fills)]
    assert set(light) == {scheme == "dark"} and set(ground) == {scheme == "light"}
