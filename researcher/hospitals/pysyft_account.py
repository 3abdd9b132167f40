"""The researcher's account at one datasite, as PySyft knows it: requests go in, approved rounds are asked for.

Importing this imports PySyft, which takes seconds: a hospital opens it when it is first needed, see `Hospital`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from policies.answers.runs import RunAnswer
from policies.contracts.inputs import Ticket
from policies.plans.kinds import Plan
from researcher.hospitals import code_requests
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.pysyft_connection import open_calls, open_client
from researcher.hospitals.secure_channel import SecureChannel


class PysyftAccount:
    """One account's way into PySyft: calls that are known, and PySyft's own client for what else there is."""

    def __init__(self, channel: SecureChannel, seed: bytes, assets: Mapping[str, str]) -> None:
        """Opens it.

        Args:
            channel: The way to the datasite.
            seed: The account's ed25519 seed.
            assets: Dataset → identifier of its asset, as far as the datasite tells them.

        Raises:
            WanwuError: What the channel or the datasite refuses it with.
        """
        self.calls = open_calls(channel, seed)
        self._channel, self._seed = channel, seed
        self._assets = dict(assets)
        self._opening = threading.Lock()
        self._client: Any = None

    @property
    def client(self) -> Any:
        """PySyft's own client, opened when it is first asked for."""
        with self._opening:
            if self._client is None:
                self._client = open_client(self._channel, self._seed)
            return self._client

    def asset(self, dataset: str) -> str:
        """The identifier of the PySyft asset of a dataset that the datasite publishes.

        Raises:
            DatasiteUnreachable: The datasite does not answer.
        """
        if dataset not in self._assets:  # it is of an earlier version, or the dataset came since
            with code_requests.quietly():
                self._assets[dataset] = str(self.client.datasets[dataset].assets[0].action_id)
        return self._assets[dataset]

    def mock(self, dataset: str) -> Any:
        """The mock in that asset."""
        with code_requests.quietly():
            return self.client.datasets[dataset].assets[0].mock

    def submit(self, plan: Plan) -> CodeRequest:
        """Submits the plan as a code request on the dataset that it names; see `code_requests.submit`."""
        return code_requests.submit(self.calls, self.asset(plan.dataset), plan)

    def ask(self, dataset: str, request: CodeRequest, ticket: Ticket) -> RunAnswer:
        """Asks for one round of an approved request; see `code_requests.call`."""
        return code_requests.call(self.calls, self.asset(dataset), request, ticket)
