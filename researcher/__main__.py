"""`python -m researcher`: the researcher's command line."""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # what is imported stays: a help need not wait while it is searched for garbage; a command turns it on
    from researcher.cli import main

    sys.exit(main())
