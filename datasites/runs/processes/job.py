"""A run's job, as the datasite tells it to a runner in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from datasites.runs.sandbox.confinement import Confinement
from policies.plans.kinds import Plan
from policies.plans.model_options import check_features


@dataclass(frozen=True)
class Job:
    """What a runner is told: paths and the plan, all of it already checked.

    Attributes:
        plan: The approved plan as JSON; on scattering features that the hospital keeps, with their head as its model.
        round: Round index, from 0.
        store: Folder of the picture store.
        weights: File with the round's global weights, safetensors.
        result: File to make and write the client update to, safetensors.
        confinement: How the run is closed in.
        features: What the run reads beside the pictures: attributes of a `policies.plans.features.KeptSpec`, or
            None.
        processes: How many take the run's steps together, one for each GPU that it was leased. Said here, since a
            runner reads no plan before it is closed in.
        rehearses: Whether it is a rehearsal: it runs on the mock's pictures or not at all, and tells its traceback.
        look: What a look at the device found in an earlier run of the same kind; empty where the run looks itself.
    """

    plan: str
    round: int
    store: str
    weights: str
    result: str
    confinement: Confinement
    features: Mapping[str, str | int] | None = None
    processes: int = 1
    rehearses: bool = False
    look: str = ""

    def kind(self) -> str:
        """All that a look at the device may hang on: everything that the run is told, but what is each round's own.

        Guarantees:
            Of two jobs with the same text, plan, store, limits, GPUs and whatever else a job may hold are the same;
            only round, weights, result, account and the look itself may differ.
        """
        confinement = {**self.confinement.to_json(), "uid": 0}
        own = {"round": 0, "weights": "", "result": "", "look": ""}
        return json.dumps({**vars(self), "confinement": confinement, **own}, sort_keys=True)

    @classmethod
    def of_round(cls, plan: Plan, *, gpus: int, **rest: Any) -> Self:
        """A round of a plan, real or rehearsed, with as many processes as it was leased GPUs."""
        wanted = check_features(plan)
        features = None if wanted is None else asdict(wanted)
        return cls(plan=plan.to_json(), features=features, processes=max(1, gpus), **rest)

    def to_line(self) -> bytes:
        """The job as its pipe takes it."""
        return json.dumps({**vars(self), "confinement": self.confinement.to_json()}).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """What `to_line` wrote."""
        values = json.loads(line)
        return cls(**{**values, "confinement": Confinement.from_json(values["confinement"])})
