"""An approval that holds, as it is carried from where it was checked to what relies on it. It stays in the hospital."""

from __future__ import annotations

from dataclasses import dataclass

from datasites.assets.published import PublishedDataset
from policies.plans.kinds import Plan


@dataclass(frozen=True)
class Approval:
    """What the hospital approved, from a check that its digest is the recorded one. It holds as of that check.

    Attributes:
        request_id: The approved request.
        account: Public key of the account that it was approved for, hexadecimal.
        plan: The approved plan.
        published: The dataset that it is about.
        inputs: Names and shapes of the weights that come in.
        outputs: Names and shapes of the arrays that may leave.
    """

    request_id: str
    account: str
    plan: Plan
    published: PublishedDataset
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
