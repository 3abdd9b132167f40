"""The loss that a training plan lowers, picture by picture. Public; what a loss is worked out from stays in the run.

No setting makes a picture's loss depend on another picture: weights and smoothing are numbers of the plan, never
counted from the pictures of a batch, so what clipping bounds is each picture's own gradient, whatever the loss.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from policies import validate
from policies.errors import PlanError
from policies.plans.graph import packed_graph
from policies.plans.model_spec import ModelSpec
from policies.plans.ranges import Range
from policies.settings import numbers, setting

LOSSES = ("cross_entropy", "ordinal")
OWN_LOSS = "graph"
"""What the loss of a plan is called that carries an own one."""
MOST_GRADES = 64
"""Classes that an ordinal loss takes: its work grows with their square."""
MOST_WEIGHTS = 1_000
_WEIGHT = Range(1e-3, 1e3)
_SMOOTHING = Range(0.0, 0.5)


@dataclass(frozen=True)
class ObjectiveSpec:
    """What training lowers. Each setting says what it is; the default is the loss that plans have always had.

    Attributes:
        loss_graph: The own loss's graph, packed (`policies.plans.graph.packed_graph`), where the loss is `graph`; else
            empty. What is in it is for `policies.graphs.losses.own_loss` to read and to prove.
    """

    loss: str = setting(
        "what training lowers: cross_entropy, which for findings is the binary one of each that is known; ordinal, for "
        "classes in the order of a grade, by which a mistake costs more the more grades it is off",
        default="cross_entropy",
        choices=LOSSES,
    )
    label_smoothing: float = setting(
        "of cross_entropy over classes: share of each label that is spread evenly over all classes, up to 0.5",
        default=0.0,
    )
    class_weights: tuple[float, ...] = setting(
        "a number for each class, 1,2.5,4 say: what a picture of it counts, before it is clipped; for labels that are "
        "classes",
        default=(),
        kind=numbers,
    )
    present_weights: tuple[float, ...] = setting(
        "a number for each finding: what a present one counts beside an absent one, before the picture's gradient is "
        "clipped; for labels that are findings",
        default=(),
        kind=numbers,
    )

    loss_graph: str = field(default="", repr=False, metadata=packed_graph.LOSS_IN_A_PLAN)

    def __post_init__(self) -> None:
        validate.choice("objective.loss", self.loss, (*LOSSES, OWN_LOSS))
        object.__setattr__(self, "label_smoothing", _SMOOTHING.check("objective.label_smoothing", self.label_smoothing))
        for name in ("class_weights", "present_weights"):
            object.__setattr__(self, name, _weights(f"objective.{name}", getattr(self, name)))
        if self.loss == "ordinal" and self.label_smoothing:
            raise PlanError(
                f"objective.label_smoothing is {self.label_smoothing:g}, but an ordinal loss spreads no label: grades "
                "beside the right one cost less by themselves. Set it to 0, or loss to cross_entropy."
            )

        self._check_graph()

    @property
    def is_own(self) -> bool:
        """Whether it is an own loss, which the plan's graph describes."""
        return bool(self.loss_graph)

    def _check_graph(self) -> None:
        packed_graph.check_form(self.loss_graph, packed_graph.LOSS)
        if bool(self.loss_graph) != (self.loss == OWN_LOSS):
            raise PlanError(
                f"objective.loss_graph and objective.loss {OWN_LOSS!r} go together: an own loss has both, a built-in "
                f"one neither. Got {'a' if self.loss_graph else 'no'} graph with loss {self.loss!r}."
            )
        if not self.loss_graph:
            return
        for name in ("label_smoothing", "class_weights", "present_weights"):
            if getattr(self, name):
                raise PlanError(f"objective.{name} is of built-in losses. Leave it out, or write it into the own loss.")
        packed_graph.digest_of(self.loss_graph, packed_graph.LOSS)

    def check_model(self, model: ModelSpec) -> None:
        """Refuses a loss that is not for the model's labels.

        Args:
            model: The plan's.

        Raises:
            PlanError: What it is for, and what to set.
        """
        of_findings = model.label_kind == "multi"
        for name, given, wrong in (
            ("loss", self.loss == "ordinal", of_findings),
            ("label_smoothing", self.label_smoothing > 0, of_findings),
            ("class_weights", bool(self.class_weights), of_findings),
            ("present_weights", bool(self.present_weights), not of_findings),
        ):
            if given and wrong:
                labels, others = ("findings", "classes") if of_findings else ("classes", "findings")
                raise PlanError(
                    f"objective.{name} is {getattr(self, name)!r}, which is for labels that are {others}; the plan's "
                    f"labels are {labels} (label_kind '{model.label_kind}'). Leave it out."
                )
        for name in ("class_weights", "present_weights"):
            given = getattr(self, name)
            if given and len(given) != model.num_classes:
                raise PlanError(
                    f"objective.{name} must have a number for each of {model.num_classes}, in their order; got "
                    f"{len(given)}."
                )
        if self.loss == "ordinal" and model.num_classes > MOST_GRADES:
            raise PlanError(
                f"An ordinal loss takes at most {MOST_GRADES} grades, the plan has {model.num_classes} classes. Use "
                "cross_entropy."
            )


def _weights(field: str, given: object) -> tuple[float, ...]:
    if not isinstance(given, list | tuple) or len(given) > MOST_WEIGHTS:
        raise PlanError(f"{field} must be at most {MOST_WEIGHTS} numbers, got {validate.shown(repr(given))}.")
    return tuple(_WEIGHT.check(field, one) for one in given)
