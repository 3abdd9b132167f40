"""The settings that the page shows are settings, as they stand there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from datasites.sources.dataset_settings import DatasetSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to-bring-pictures-in.md"
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_each_table_can_be_pasted(block: str) -> None:
    assert DatasetSettings.from_dict(tomllib.loads(block)["dataset"]) != DatasetSettings()
