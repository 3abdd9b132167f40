"""`python -m researcher`: the researcher's command line."""

import sys
from collections.abc import Callable

from policies.terminal.entry import enter


def main() -> int:
    """Runs one command; returns the exit status."""
    return enter(_load)


def _load() -> Callable[[], int]:
    from researcher.cli import main as run

    return run


if __name__ == "__main__":
    sys.exit(main())
