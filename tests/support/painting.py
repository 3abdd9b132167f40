"""What draws a small picture into a test's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Paint = Callable[..., Path]
