"""Fixtures that tests of several parts share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from policies.plans.features import FeatureSpec


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FeatureSpec]:
    """A file of public weights, and features that are computed with it."""
    from support.public_weights import write_backbone

    return write_backbone(tmp_path_factory.mktemp("public"))
