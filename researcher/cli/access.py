"""Which hospitals a command speaks to: those of its credentials files, which never leave this machine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from researcher.hospitals.federation import Federation

CREDENTIALS = "state/*/credentials/*.json"
"""Where credentials files lie unless a command is told otherwise."""


def credentials_option() -> argparse.ArgumentParser:
    """The option of commands that speak to hospitals."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--credentials",
        nargs="+",
        metavar="FILE",
        help=f"credentials files or a pattern (default {CREDENTIALS})",
    )
    return shared


def connect(options: argparse.Namespace) -> Federation:
    """Connects to the hospitals that the options name."""
    from researcher.hospitals.federation import Federation

    return Federation.connect(options.credentials or [CREDENTIALS])
