"""`python -m datasites`: the hospital's command line."""

import sys

from datasites.cli import main

if __name__ == "__main__":
    sys.exit(main())
