"""`python -m researcher`: the researcher's command line."""

import gc
import sys
from collections.abc import Callable

from policies.terminal.entry import enter


def main() -> int:
    """Runs one command; returns the exit status."""
    try:
        return enter(_load)
    finally:
        gc.freeze()  # all goes with the process: nobody waits until it is searched for garbage, .25 s with torch in it


def _load() -> Callable[[], int]:
    from researcher.cli import main as run

    return run


if __name__ == "__main__":
    sys.exit(main())
