"""The page to drop a picture on, in a real Chromium: what it shows, and that it has no fault of accessibility."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from support.browsers import MISSING, SWITCHES, chromium
from support.dicom_files import made, written
from support.served_models import SIDE, ServedModel, as_file, colour_model, served

from policies.plans.picture_form import PictureForm
from researcher.serving.usual_look import UsualLook

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
TOKEN = b"a token of a test"[:16].replace(b" ", b"-")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of the file."""
    if not (program := chromium()):
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(SWITCHES))
        yield started
        started.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModel]:
    """A model of grey pictures that knows what is unlike them, behind a token."""
    pictures = np.random.default_rng(0).integers(100, 140, (120, SIDE, SIDE, 1), dtype=np.uint8)
    model = colour_model(tmp_path_factory.mktemp("grey"), form=PictureForm((SIDE, SIDE), 1, window="full"))
    with served(model, token=TOKEN, look=UsualLook.of(pictures)) as found:
        yield found


@pytest.fixture
def page_of(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a server's page; whatever its rules forbid, or fails in it, fails the test."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def opened(server: ServedModel, **how: object) -> Page:
        contexts.append(browser.new_context(**how))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Security Policy" in said.text else None)
        page.goto(server.url)
        return page

    yield opened
    for one in contexts:
        one.close()
    assert wrong == []


def _without_fault(page: Page) -> None:
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        found = Axe().run(page, options=RULES)
        assert found.violations_count == 0, found.generate_report()


def _choose(page: Page, content: bytes, name: str = "one.png") -> None:
    page.get_by_label("Choose a picture").set_input_files(
        [{"name": name, "mimeType": "application/octet-stream", "buffer": content}]
    )


def test_a_picture_gets_its_classes_as_bars_and_where_it_matters(
    server: ServedModel, page_of: Callable[..., Page]
) -> None:
    page = page_of(server, viewport={"width": 320, "height": 640})
    picture = np.full((SIDE, SIDE, 3), 60, dtype=np.uint8)
    picture[:2, :2] = (255, 0, 0)
    _without_fault(page)
    _choose(page, as_file(picture))
    page.get_by_role("button", name="Classify").click()
    page.get_by_role("heading", name="Classes").wait_for()
    rows = page.locator("#classes tr")
    assert rows.count() == 3
    assert rows.first.locator("th").inner_text() == "red"
    widths = "bars => bars.map(bar => bar.offsetWidth / bar.parentElement.offsetWidth)"
    shown = [float(row.locator("td").last.inner_text().rstrip(" %")) / 100 for row in rows.all()]
    assert page.locator(".bar span").evaluate_all(widths) == pytest.approx(shown, abs=0.02)
    assert shown[0] > shown[-1]
    assert "was not looked at" in page.locator("#unlike").inner_text()
    assert page.evaluate("document.activeElement.id") == "answer-title"
    page.get_by_role("button", name="Show").click()
    page.locator("#saliency").wait_for()
    assert "row 1 of 8, column 1 of 8" in page.locator("#caption").inner_text()
    assert "row 1 of 8, column 1 of 8" in str(page.locator("#seen").get_attribute("alt"))
    page.get_by_label("Overlay").uncheck()
    assert page.locator("#map").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert "Not a medical device" in page.locator("header").inner_text()
    _without_fault(page)


def test_with_the_keyboard_a_token_is_given_and_a_dicom_file_is_flagged(
    guarded: ServedModel, page_of: Callable[..., Page], tmp_path: Path
) -> None:
    page = page_of(guarded)
    dicom = written(made(np.eye(SIDE) * 255), tmp_path / "one.dcm").read_bytes()
    _choose(page, dicom, "one.dcm")
    page.get_by_role("button", name="Classify").press("Enter")
    page.get_by_role("alert").wait_for()
    assert "token" in page.get_by_role("alert").inner_text()
    page.get_by_label("Token").fill(TOKEN.decode())
    page.get_by_label("Token").press("Enter")
    page.get_by_role("heading", name="Classes").wait_for()
    told = page.locator("#unlike").inner_text()
    assert "Not like the training pictures" in told
    assert "at most 2.0 % are flagged" in told
    page.get_by_role("button", name="Show").press("Enter")
    page.locator("#saliency").wait_for()
    assert "2.0 %" in page.locator("#facts").inner_text()
    _without_fault(page)


def test_what_is_no_picture_is_told(server: ServedModel, page_of: Callable[..., Page]) -> None:
    page = page_of(server)
    _choose(page, b"no picture")
    page.get_by_role("button", name="Classify").click()
    page.get_by_role("alert").wait_for()
    assert "Save the picture in one of these formats" in page.get_by_role("alert").inner_text()
    assert page.locator("#answer").is_hidden()
    _without_fault(page)


def test_classes_of_one_picture_never_stand_beside_another_one(
    server: ServedModel, page_of: Callable[..., Page]
) -> None:
    page = page_of(server)
    classes, classify = page.get_by_role("heading", name="Classes"), page.get_by_role("button", name="Classify")
    _choose(page, as_file(np.full((SIDE, SIDE, 3), 60, dtype=np.uint8)))
    classify.click()
    classes.wait_for()
    _choose(page, b"no picture", "another.png")
    assert not classes.is_visible() and page.locator("#status").inner_text() == ""
    classify.click()
    page.locator("#error").filter(has_text="none of these").wait_for()
    assert not classes.is_visible()


def test_a_dropped_picture_is_classified(server: ServedModel, page_of: Callable[..., Page]) -> None:
    page = page_of(server)
    content = list(as_file(np.full((SIDE, SIDE, 3), (0, 0, 255), dtype=np.uint8)))
    dropped = page.evaluate_handle(
        "bytes => { const held = new DataTransfer(); held.items.add(new File([new Uint8Array(bytes)], 'one.png'));"
        " return held; }",
        content,
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
    page.get_by_role("heading", name="Classes").wait_for()
    assert page.locator("#classes th").first.inner_text() == "blue"
