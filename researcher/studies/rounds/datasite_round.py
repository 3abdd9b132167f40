"""One hospital's part of a round as it came back: its update, and what it took."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from policies.errors import FederationError


@dataclass
class DatasiteRound:
    """What came back from one hospital, and what it took. Bytes are those of the encoded weights and update.

    Attributes:
        update: Name → float32 array, each of its parameter's shape, checked; it may lie on the disk.
    """

    update: Mapping[str, np.ndarray] | None
    bytes_up: int
    bytes_down: int
    queue_seconds: float
    transfer_seconds: float
    train_seconds: float
    epsilon: float | None
    arrived: float = field(default_factory=time.monotonic)

    def take_update(self) -> Mapping[str, np.ndarray]:
        """Hands the update over, so that only the average stays in memory.

        Returns:
            Name → float32 array, each of its parameter's shape.

        Raises:
            ConfigError: This machine's disk does not give it back.
        """
        if self.update is None:
            raise FederationError("The update was taken already.")
        update, self.update = self.update, None
        return update
