"""Counts from the hospitals instead of weights: how a model does on their pictures, and what the pictures are like.

Every number carries the hospital's noise and is charged to its ledger. What they mean, with intervals that include the
noise, is computed by `researcher.counts.noised_metrics`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from policies.errors import NotEnoughDatasites, WanwuError
from policies.plans.releases import EvaluationPlan, GramPlan, StatisticsPlan
from researcher.studies.remote_round import RemoteRound, RoundEvent
from researcher.studies.retry_policy import RetryPolicy
from researcher.studies.rounds.outgoing import OutgoingWeights
from researcher.studies.submission import Submission

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Released:
    """What the hospitals released in one round.

    Attributes:
        arrays: Datasite → name → float32 array, as the plan's `outputs` declares them.
        noise_std: Standard deviation of the noise on every number of every hospital.
        epsilon: Datasite → spent on this request so far.
        skipped: Datasite → public reason why it is missing.
    """

    arrays: Mapping[str, Arrays]
    noise_std: float
    epsilon: Mapping[str, float]
    skipped: Mapping[str, str]

    def with_earlier(self, arrays: Mapping[str, Arrays], epsilon: Mapping[str, float]) -> Released:
        """What came now, and of hospitals that did not answer now what they released on the same request before.

        Args:
            arrays: As the attribute, of before.
            epsilon: Likewise.
        """
        return Released(
            {**arrays, **self.arrays},
            self.noise_std,
            {**epsilon, **self.epsilon},
            {name: reason for name, reason in self.skipped.items() if name not in arrays},
        )

    def summed(self, name: str) -> tuple[np.ndarray, float]:
        """Returns an array summed over the hospitals, and the standard deviation of the noise on that sum.

        Args:
            name: One of the plan's `outputs`.

        Returns:
            float64, of the shape `(...)` that the plan declares for the output, and the standard deviation.
        """
        total = np.sum([arrays[name] for arrays in self.arrays.values()], axis=0, dtype=np.float64)
        return total, self.noise_std * float(np.sqrt(len(self.arrays)))


class CountRequest(Submission[EvaluationPlan | StatisticsPlan | GramPlan]):
    """A plan for sums, of an evaluation, statistics or a Gram matrix, at several hospitals."""

    def collect(
        self,
        weights: Mapping[str, np.ndarray] | None = None,
        *,
        round_index: int = 0,
        min_clients: int = 1,
        retry_policy: RetryPolicy | None = None,
        on_event: Callable[[RoundEvent], None] = lambda event: None,
    ) -> Released:
        """Asks every hospital that approved for one release.

        Args:
            weights: The model to evaluate, name → float32 array of the parameter's shape; None for statistics and Gram
                matrices, which take none.
            round_index: Which of the plan's rounds; asking again for one gives the same numbers and costs nothing.
            min_clients: Least number of hospitals that must answer.
            retry_policy: How long to wait and how often to try again.
            on_event: Called from several threads while hospitals work.

        Raises:
            RequestDenied: Too few hospitals approved.
            NotEnoughDatasites: Too few answered.
        """
        names, absent = self.approved(min_clients)
        content, stopping = OutgoingWeights.encode(weights or {}, self.plan, round_index), threading.Event()
        arrays: dict[str, Arrays] = {}
        epsilon: dict[str, float] = {}
        skipped = {**self.left_out_at_submission, **absent}

        def ask(name: str) -> None:
            request = RemoteRound(
                hospital=self.hospital(name),
                dataset=self.plan.dataset,
                request=self.requests[name],
                plan=self.plan,
                round_index=round_index,
                retry_policy=retry_policy or RetryPolicy(),
                stopping=stopping,
                on_event=on_event,
            )
            try:
                answer = request.run(content, self.plan.outputs)
            except WanwuError as error:
                skipped[name] = f"{error.code}: {error.public}"
                return
            arrays[name] = dict(answer.take_update())
            if answer.epsilon is not None:
                epsilon[name] = answer.epsilon

        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(ask, names))
        if len(arrays) < max(min_clients, 1):
            told = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
            raise NotEnoughDatasites(
                f"{len(arrays)} of {len(names)} hospitals answered and min_clients is {min_clients} ({told})."
            )
        noise_std = self.plan.privacy.noise_multiplier * self.plan.sensitivity
        return Released({name: arrays[name] for name in names if name in arrays}, noise_std, epsilon, skipped)
