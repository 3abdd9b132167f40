"""The researcher's account at one datasite, as PySyft knows it: requests go in, mocks come out.

Importing this imports PySyft, which takes seconds: a hospital opens it when it is first needed, see `Hospital`.
"""

from __future__ import annotations

import threading
from typing import Any

from policies.plans.kinds import Plan
from researcher.hospitals import code_requests
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.pysyft_connection import open_calls, open_client
from researcher.hospitals.secure_channel import SecureChannel


class PysyftAccount:
    """One account's way into PySyft: calls that are known, and PySyft's own client for what else there is."""

    def __init__(self, channel: SecureChannel, seed: bytes) -> None:
        """Opens it.

        Args:
            channel: The way to the datasite.
            seed: The account's ed25519 seed.

        Raises:
            WanwuError: What the channel or the datasite refuses it with.
        """
        self.calls = open_calls(channel, seed)
        self._channel, self._seed = channel, seed
        self._opening = threading.Lock()
        self._client: Any = None

    @property
    def client(self) -> Any:
        """PySyft's own client, opened when it is first asked for."""
        with self._opening:
            if self._client is None:
                self._client = open_client(self._channel, self._seed)
            return self._client

    def mock(self, dataset: str) -> Any:
        """The mock in that asset."""
        with code_requests.quietly():
            return self.client.datasets[dataset].assets[0].mock

    def submit(self, asset: str, plan: Plan, name: str = "") -> CodeRequest:
        """Submits the plan as a code request on an asset; see `code_requests.submit`."""
        return code_requests.submit(self.calls, asset, plan, name)
