"""Canaries: two steps of an approved plan on the mock twin, in the place and by the path of its first round.

A round is charged when it starts. What would fail at a hospital for a reason that has nothing to do with pictures, such
as a GPU that is gone, memory that does not suffice or a disk that is full, fails here first and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from datasites.approvals.approval import Approval
from datasites.rehearsal.mock_round import Asked, MockRounds, Seen
from datasites.runs.gpus import Gpu
from datasites.runs.queue import Run
from policies.errors import RequestAltered
from policies.plans.kinds import Plan
from policies.plans.training import TrainingPlan

STEPS = 2


class Canaries:
    """Runs the canaries of one datasite.

    Args:
        approved_now: Returns a request's approval after computing its digest again.
        rounds: Runs one on the mock.
    """

    def __init__(self, approved_now: Callable[[str], Approval], rounds: MockRounds) -> None:
        self._approved_now, self._rounds = approved_now, rounds

    def run(self, run: Run, gpus: tuple[Gpu, ...], given_up: Callable[[], bool]) -> None:
        """Runs a request's canary.

        Guarantees:
            It reads nothing of the pictures and charges nothing: what becomes of it is a function of the approved plan,
            the mock and this machine.

        Args:
            run: It, as the queue knows it.
            gpus: What it was leased.
            given_up: Whether nobody waits for its end any more; asked again and again.

        Raises:
            RunCancelled: It was given up.
            WanwuError: The request is not approved any more, or its first round would fail.
        """
        approval = self._approved_now(run.request_id)
        if (approval.request_id, approval.account) != (run.request_id, run.account):
            raise RequestAltered("What would run is not what the hospital approved. Submit the plan again.")
        asked = Asked.of(_two_steps(approval.plan), approval.published, approval.inputs, approval.outputs)
        self._rounds.run(asked, gpus, Seen(), given_up=given_up, name=run.id)


def _two_steps(plan: Plan) -> Plan:
    return plan.shortened(STEPS) if isinstance(plan, TrainingPlan) else plan
