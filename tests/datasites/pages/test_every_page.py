"""Every page of the console: no fault of accessibility in light and dark, and nothing that its own rules forbid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize
from support.console_pages import ADMIN_NAME, ConsoleOfFakes
from support.console_reviews import APPROVED, FLAGGED
from support.daily_fakes import REPORTED

PAGES = (
    ("/sign-in", ""),
    ("/first-password", ""),
    ("/open?code=none", ""),
    ("/", ADMIN_NAME),
    ("/requests", ADMIN_NAME),
    (f"/requests/{FLAGGED}", ADMIN_NAME),
    (f"/requests/{APPROVED}", ADMIN_NAME),
    ("/budget", ADMIN_NAME),
    ("/limits", ADMIN_NAME),
    ("/rules", ADMIN_NAME),
    ("/rules/new", ADMIN_NAME),
    ("/datasets", ADMIN_NAME),
    ("/source", ADMIN_NAME),
    ("/runs", ADMIN_NAME),
    ("/runs/2222", ADMIN_NAME),
    ("/runs/3333", ADMIN_NAME),
    ("/audit", ADMIN_NAME),
    ("/notices", ADMIN_NAME),
    ("/well", ADMIN_NAME),
    ("/people", ADMIN_NAME),
    ("/people/staff/remove?who=dr.wu", ADMIN_NAME),
    ("/people/staff/role?who=dr.wu", ADMIN_NAME),
    ("/settings", ADMIN_NAME),
    ("/studies", ADMIN_NAME),
    (f"/studies/{REPORTED}", ADMIN_NAME),
    ("/nowhere", ADMIN_NAME),
)
"""Each page, and who looks at it; a new page is a line here."""
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
OF_COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
"""What a theme can change: the style sheet gives the dark one other colours, and nothing else."""
WIDE, NARROW = ViewportSize(width=1280, height=720), ViewportSize(width=320, height=640)
TELEPHONE = ViewportSize(width=390, height=844)
RIGHT_OF_TEXTS = """all => all.map(one => {
  const text = document.createRange();
  text.selectNodeContents(one);
  return text.getBoundingClientRect().right;
})"""


@pytest.fixture(scope="module")
def tab_of(browser: Browser, served: ConsoleOfFakes) -> Iterator[Callable[[str, str], Page]]:
    """A tab for each language and each who looks, in which one page is opened after the other."""

    @cache
    def tab(language: str, name: str) -> Page:
        context = browser.new_context(locale=language, reduced_motion="reduce")  # colours change at once
        if name:
            served.sign_in(context, name)
        return context.new_page()

    yield tab


@pytest.mark.parametrize(("path", "name"), PAGES, ids=[path for path, _ in PAGES])
@pytest.mark.parametrize("language", ["en-GB", pytest.param("zh-CN", marks=pytest.mark.slow)])
def test_a_page_has_no_fault_of_accessibility_in_either_theme_and_fits_a_narrow_screen(
    served: ConsoleOfFakes, tab_of: Callable[[str, str], Page], path: str, name: str, language: str
) -> None:
    page = tab_of(language, name)
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
    refused: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if "Security Policy" in message.text:
            refused.append(message.text)

    page.on("console", note)
    page.goto(served.url + path)
    for theme, rules in (("light", RULES), ("dark", OF_COLOURS)):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        found = Axe().run(page, options={**rules, "resultTypes": ["violations"]})
        assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    page.remove_listener("console", note)
    assert refused == []


def test_on_a_telephone_a_page_begins_below_its_menu_and_the_doctors_advice_is_seen(
    served: ConsoleOfFakes, tab_of: Callable[[str, str], Page]
) -> None:
    page = tab_of("en-GB", ADMIN_NAME)
    page.set_viewport_size(TELEPHONE)
    page.goto(f"{served.url}/rules")
    ends = page.locator(".places").evaluate("one => one.getBoundingClientRect().bottom")
    begins = page.locator("h1").evaluate("one => one.getBoundingClientRect().top")
    assert 0 <= begins - ends < 60
    page.goto(f"{served.url}/well")
    edges = page.locator(".advice").evaluate_all("all => all.map(one => one.getBoundingClientRect().right)")
    assert edges and max(edges) <= TELEPHONE["width"]


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_on_a_telephone_what_could_leak_and_every_tables_name_are_seen_without_scrolling_sideways(
    served: ConsoleOfFakes, tab_of: Callable[[str, str], Page], language: str
) -> None:
    page = tab_of(language, ADMIN_NAME)
    page.set_viewport_size(TELEPHONE)
    for path in (f"/requests/{FLAGGED}", "/budget", "/audit"):
        page.goto(served.url + path)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        named = page.locator("caption").evaluate_all(RIGHT_OF_TEXTS)
        assert named and max(named) <= TELEPHONE["width"], path
        cells = page.locator(".leaks tbody :is(th, td)").evaluate_all(RIGHT_OF_TEXTS)
        assert max(cells, default=0) <= TELEPHONE["width"] and bool(cells) == path.startswith("/requests")


def test_on_a_telephone_how_far_a_run_is_stands_beside_its_bar_without_scrolling_sideways(
    served: ConsoleOfFakes, tab_of: Callable[[str, str], Page]
) -> None:
    page = tab_of("en-GB", ADMIN_NAME)
    page.set_viewport_size(TELEPHONE)
    page.goto(f"{served.url}/runs")
    figures = page.locator("td:has(progress) span").evaluate_all(RIGHT_OF_TEXTS)
    assert figures and max(figures) <= TELEPHONE["width"]
