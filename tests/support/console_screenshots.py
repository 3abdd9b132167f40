"""Pictures of the console's pages for the documents, of fakes: `make screenshots` writes docs/images/console-*.png."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from support.browsers import MISSING, SWITCHES, chromium
from support.console_pages import ADMIN_NAME, ConsoleOfFakes, serving
from support.console_reviews import PENDING, FakeBook

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTH, COLOURS = 1360, 200


@dataclass(frozen=True)
class Shot:
    """One picture: its name, the page, how high it is, and what is filled in and pressed before.

    Attributes:
        filled: Fields by their names, and what they hold.
        pressed: The button's text; empty for none.
    """

    name: str
    path: str
    height: int
    filled: tuple[tuple[str, str], ...] = ()
    pressed: str = ""


RAISED = (("value", "10"), ("reason", "The ethics board allows a follow-up study of the same patients."))
SHOTS = (
    Shot("card", f"/requests/{PENDING}", 1100),
    Shot("requests", "/requests", 860),
    Shot("budget", "/budget", 1020),
    Shot("limit-change", "/limits", 620, RAISED, "Show what it means"),
    Shot("overview", "/", 660),
)
"""Those that a document shows."""


def waiting_for_another() -> FakeBook:
    """Requests of which one waits for a second person's vote."""
    book = FakeBook(needed=2)
    book.requests[PENDING] = replace(book.requests[PENDING], approvals_needed=2, votes_given=1)
    return book


def take(console: ConsoleOfFakes, browser: Browser, shot: Shot, folder: Path) -> Path:
    """Takes one picture, without motion and in English."""
    file = folder / f"console-{shot.name}.png"
    context = browser.new_context(
        locale="en-GB",
        color_scheme="light",
        viewport={"width": WIDTH, "height": shot.height},
        reduced_motion="reduce",
        timezone_id="UTC",
    )
    console.sign_in(context, ADMIN_NAME)
    page = context.new_page()
    page.goto(console.url + shot.path)
    for name, value in shot.filled:
        page.locator(f"[name={name}]").fill(value)
    if shot.pressed:
        page.get_by_role("button", name=shot.pressed).click()
        page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=file)
    context.close()
    with Image.open(file) as taken:
        taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    return file


def main(folder: Path, names: list[str]) -> None:
    """Takes the named pictures, or all."""
    if not chromium():
        raise SystemExit(MISSING)
    with (
        tempfile.TemporaryDirectory() as state,
        serving(Path(state), book=waiting_for_another()) as console,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(SWITCHES))
        for shot in SHOTS:
            if not names or shot.name in names:
                file = take(console, browser, shot, folder)
                print(f"{file.name}: {file.stat().st_size // 1000} kB")
        browser.close()


if __name__ == "__main__":
    main(IMAGES, sys.argv[1:])
