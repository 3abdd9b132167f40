"""What a process that closed itself in says of a call: for programs of tests that run in a process of their own."""

from __future__ import annotations

TOLD = """
import errno

def told(call):
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
"""
"""Program text before a test's own: `told(call)` is "done", or the name of the error with which the kernel refused."""
