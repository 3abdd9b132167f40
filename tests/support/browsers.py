"""Debian's Chromium for tests of pages: where it is, and how it is started so that it asks nobody but the page."""

from __future__ import annotations

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSING = (
    "No Chromium is here, with which tests of the console's pages look at them. "
    "Install Debian's package 'chromium', or set CHROMIUM to the program of one."
)


def chromium() -> str:
    """The program; an empty text where there is none."""
    return os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), "")
