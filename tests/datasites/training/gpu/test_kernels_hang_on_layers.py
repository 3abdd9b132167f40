"""Kernels hang on layers and not on how many pictures there are: those of eight are those of any batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import CEILING_SECONDS

PROGRAM = Path(__file__).resolve().parents[3] / "support" / "launches.py"


@pytest.mark.parametrize(("views", "precision"), [("1", "float32"), ("3", "bfloat16")])
def test_a_batch_of_any_size_launches_the_kernels_that_were_compiled_for_eight_pictures(
    views: str, precision: str
) -> None:
    """Asked in a process of its own, where Triton interprets nothing."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    asked = [sys.executable, str(PROGRAM), views, precision, "8", "1", "7", "33"]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=CEILING_SECONDS)
    assert done.returncode == 0, done.stderr[-2000:]
    compiled, *others = (set(kernels) for kernels in json.loads(done.stdout).values())
    assert len(compiled) > 15 and len(others) == 3
    assert [kernels - compiled for kernels in others] == [set()] * 3
