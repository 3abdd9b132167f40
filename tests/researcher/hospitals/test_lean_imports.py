"""httpx as the researcher's side imports it: without its command line, and whole otherwise."""

from __future__ import annotations

import subprocess
import sys

_IMPORTED = """
import sys
from researcher.hospitals.federation import Federation
from researcher.hospitals.secure_channel import httpx
assert httpx.Client().get and httpx.TransportError
print(sorted({"rich", "pygments", "httpx._main"} & set(sys.modules)))
"""


def test_connecting_imports_nothing_that_prints() -> None:
    told = subprocess.run([sys.executable, "-c", _IMPORTED], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
