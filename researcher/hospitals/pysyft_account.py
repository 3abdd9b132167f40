"""The researcher's account at one datasite, as PySyft knows it: requests go in, approved rounds are asked for.

Importing this imports PySyft, which takes seconds: a hospital opens it when it is first needed, see `Hospital`.
"""

from __future__ import annotations

from typing import Any

from policies.answers.runs import RunAnswer
from policies.contracts.inputs import Ticket
from policies.plans.kinds import Plan
from researcher.hospitals import code_requests
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.pysyft_connection import open_client
from researcher.hospitals.secure_channel import SecureChannel


class PysyftAccount:
    """One account's PySyft client, with the assets that it has asked for."""

    def __init__(self, channel: SecureChannel, seed: bytes) -> None:
        """Opens it.

        Raises:
            WanwuError: What the channel or the datasite refuses it with.
        """
        self.client = open_client(channel, seed)
        self._assets: dict[str, object] = {}

    def asset(self, dataset: str) -> Any:
        """The PySyft asset of a dataset that the datasite publishes.

        Raises:
            DatasiteUnreachable: The datasite does not answer.
        """
        if dataset not in self._assets:
            with code_requests.quietly():
                self._assets[dataset] = self.client.datasets[dataset].assets[0]
        return self._assets[dataset]

    def mock(self, dataset: str) -> Any:
        """The mock in that asset."""
        asset = self.asset(dataset)
        with code_requests.quietly():
            return asset.mock

    def submit(self, plan: Plan) -> CodeRequest:
        """Submits the plan as a code request on the dataset that it names; see `code_requests.submit`."""
        return code_requests.submit(self.client, self.asset(plan.dataset), plan)

    def ask(self, dataset: str, request: CodeRequest, ticket: Ticket) -> RunAnswer:
        """Asks for one round of an approved request; see `code_requests.call`."""
        return code_requests.call(self.client, self.asset(dataset), request, ticket)
