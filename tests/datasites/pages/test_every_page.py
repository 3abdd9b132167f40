"""Every page of the console: no fault of accessibility in light and dark, and nothing that its own rules forbid."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext
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


@pytest.mark.parametrize(("path", "name"), PAGES, ids=[path for path, _ in PAGES])
@pytest.mark.parametrize("language", ["en-GB", pytest.param("zh-CN", marks=pytest.mark.slow)])
def test_a_page_has_no_fault_of_accessibility_in_either_theme(
    served: ConsoleOfFakes, context_of: Callable[..., BrowserContext], path: str, name: str, language: str
) -> None:
    context = context_of(locale=language)
    if name:
        served.sign_in(context, name)
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if "Security Policy" in message.text else None)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.goto(served.url + path)
        found = Axe().run(page, options=RULES)
        assert found.violations_count == 0, found.generate_report()
    assert refused == []


@pytest.mark.parametrize(("path", "name"), PAGES, ids=[path for path, _ in PAGES])
def test_a_page_fits_a_narrow_screen(
    served: ConsoleOfFakes, context_of: Callable[..., BrowserContext], path: str, name: str
) -> None:
    context = context_of(viewport={"width": 320, "height": 640})
    if name:
        served.sign_in(context, name)
    page = context.new_page()
    page.goto(served.url + path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
