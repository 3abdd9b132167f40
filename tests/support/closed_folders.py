"""Folders that are closed to a command, as another account's are, whoever runs the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.hospitals import ENVIRONMENT
from support.waiting import CEILING_SECONDS

# What lets root into closed folders all the same.
LETS_IN = "-dac_override,-dac_read_search"


def run_shut_out(package: str, words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command line of a package in a folder, as one whom a folder or file of mode 0 is closed to."""
    command = [sys.executable, "-W", "ignore", "-m", package, *words]
    if os.getuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root is let in everywhere where there is no setpriv")
        command = ["setpriv", f"--bounding-set={LETS_IN}", *command]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=ENVIRONMENT, timeout=CEILING_SECONDS, check=False
    )
