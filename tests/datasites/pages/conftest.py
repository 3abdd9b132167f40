"""Fixtures: a console of fakes on loopback, and a real browser that looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from support.browsers import MISSING, SWITCHES, chromium
from support.console_pages import ConsoleOfFakes, serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of a file: while it is there, an event loop runs in this thread, and no other can."""
    program = chromium()
    if not program:
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(SWITCHES))
        yield started
        started.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleOfFakes]:
    """One console for all tests of a file that do not change its people."""
    with serving(tmp_path_factory.mktemp("console")) as console:
        yield console


@pytest.fixture
def own_console(tmp_path: Path) -> Iterator[ConsoleOfFakes]:
    """A console for one test alone."""
    with serving(tmp_path) as console:
        yield console


@pytest.fixture
def context_of(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browsers without a past; takes what `Browser.new_context` takes."""
    made: list[BrowserContext] = []

    def make(**how: Any) -> BrowserContext:
        made.append(browser.new_context(**{"locale": "en-GB", **how}))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def page(context_of: Callable[..., BrowserContext]) -> Page:
    """A tab of a browser without a past."""
    return context_of().new_page()
