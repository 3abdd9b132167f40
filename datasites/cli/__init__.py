"""The hospital's commands, a file for each thing they are about. What they print is for the hospital's own people."""

from datasites.cli.program import main

__all__ = ["main"]
