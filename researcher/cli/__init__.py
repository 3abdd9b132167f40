"""The researcher's commands, a file for each thing they are about. They show what hospitals publish or released."""

from researcher.cli.program import main

__all__ = ["main"]
