"""`python -m datasites`: the hospital's command line."""

import gc
import sys


def main() -> int:
    """Runs one command; returns the exit status."""
    gc.disable()  # what is imported stays: a help need not wait while it is searched for garbage; a command turns it on
    try:
        from datasites.cli import main as run

        return run()
    except KeyboardInterrupt:  # before there is a command that could say more
        sys.stderr.write("Interrupted before anything was begun.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
