"""Settings of a simulation, each declared once. No setting of a hospital is among them, as none is asked."""

from __future__ import annotations

from dataclasses import dataclass

from policies import validate
from policies.errors import ConfigError
from policies.plans.training import UNITS
from policies.settings import setting

SPLITS = ("even", "dirichlet", "column")
MOST_HOSPITALS = 100_000
_LEAST_ALPHA, _MOST_ALPHA = 0.01, 1e6
_MOST_WORKERS = 10_000
_MOST_GB = 1024


@dataclass(frozen=True)
class SimulationSettings:
    """What a researcher chooses of a simulation besides the study's own settings; each field says what it is."""

    hospitals: int | None = setting(
        "how many to make up; with a column, as many as it has values", default=None, kind=int
    )
    split: str = setting(
        "even: as many units each; dirichlet: each class by shares of its own; column: by a column's values",
        default="even",
        choices=SPLITS,
    )
    alpha: float = setting("of the Dirichlet draws; the smaller, the more hospitals differ", default=0.5)
    column: str = setting("whose values are hospitals: of the table or the .npz, or 'site'", default="")
    unit: str = setting("privacy unit", default="picture", choices=UNITS)
    patient_column: str = setting("whose each picture is (default patient, where there is one)", default="")
    held_back: float = setting("share of the units to score on, where no test data are given", default=0.2)
    seed: int = setting("of split, first weights, draws and noise: all of a simulation follows from it", default=0)
    ray_address: str = setting(
        "a running Ray cluster, or auto for this machine's; empty starts one of this machine's cores", default=""
    )
    workers: int | None = setting("hospitals at work at a time; each core's one if not given", default=None, kind=int)
    worker_memory: float = setting("GB that a worker may take beside what it starts with", default=4.0)
    in_process: bool = False

    def __post_init__(self) -> None:
        validate.choice("split", self.split, SPLITS)
        validate.choice("unit", self.unit, UNITS)
        if self.hospitals is not None:
            validate.integer("hospitals", self.hospitals, low=1, high=MOST_HOSPITALS)
        elif self.split != "column":
            raise ConfigError("Say how many hospitals to make up: --hospitals 200.")
        if (self.split == "column") != bool(self.column):
            raise ConfigError(
                "A column and --split column go together: name the column whose values are hospitals with --column, "
                "or leave both out."
            )
        validate.number("alpha", self.alpha, low=_LEAST_ALPHA, high=_MOST_ALPHA)
        validate.number("held_back", self.held_back, low=0, high=1, open_low=True, open_high=True)
        validate.integer("seed", self.seed, low=0, high=2**63 - 1)
        if self.workers is not None:
            validate.integer("workers", self.workers, low=1, high=_MOST_WORKERS)
        validate.number("worker_memory", self.worker_memory, low=0, high=_MOST_GB, open_low=True)
        if self.in_process and (self.ray_address or self.workers not in (None, 1)):
            raise ConfigError("In this process hospitals train one after the other: no Ray cluster, and one worker.")
