"""`python -m datasites`: the hospital's command line."""

import gc
import sys


def main() -> int:
    """Runs one command; returns the exit status."""
    gc.disable()  # what is imported stays: a help need not wait while it is searched for garbage; a command turns it on
    from datasites.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
