"""`python -m researcher`: the researcher's command line."""

import sys

from researcher.cli import main

if __name__ == "__main__":
    sys.exit(main())
