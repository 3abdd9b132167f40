"""Performance settings of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from policies import validate
from policies.errors import PlanError
from policies.plans import plan_json
from policies.settings import setting

DEVICES = ("auto", "cpu")
ENGINES = ("book_keeping", "opacus")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class RunSpec:
    """Performance settings: they change how fast a run is, never how private. Each setting says what it is."""

    device: str = setting("auto takes a GPU where one is leased, cpu never does", default="auto", choices=DEVICES)
    physical_batch_size: int = setting(
        "most pictures in memory at once; a step is computed in parts of that size, or smaller where memory is short",
        default=64,
    )
    timeout_seconds: int = setting(
        "wall clock for one round, then it fails; once for its preparation, before it is charged, once from then on",
        default=3600,
    )
    engine: str = setting(
        "what computes a private step's clipped sums: opacus, its hooks, takes more time and memory; results are equal",
        default="book_keeping",
        choices=ENGINES,
    )
    precision: str = setting(
        "of a private step's model: bfloat16 is faster on GPUs; weights, norms, sums and noise are float32 or better",
        default="float32",
        choices=PRECISIONS,
    )
    batch_margin: float = setting(
        "by how many standard deviations more pictures than expected a private step always computes, so that its time "
        "does not tell how many were drawn; a larger draw takes longer, which is then seen",
        default=5.0,
        metadata=plan_json.ADDED_LATER,
    )

    def __post_init__(self) -> None:
        validate.choice("run.device", self.device, DEVICES)
        validate.integer("run.physical_batch_size", self.physical_batch_size, low=1, high=65_536)
        validate.choice("run.engine", self.engine, ENGINES)
        validate.choice("run.precision", self.precision, PRECISIONS)
        if self.engine == "opacus" and self.precision != "float32":
            raise PlanError(
                f"run.engine 'opacus' computes in float32 only, got run.precision {self.precision!r}. "
                "Use engine 'book_keeping'."
            )
        margin = validate.number("run.batch_margin", self.batch_margin, low=3, high=20)
        object.__setattr__(self, "batch_margin", margin)
        validate.integer("run.timeout_seconds", self.timeout_seconds, low=1, high=7 * 24 * 3600)
