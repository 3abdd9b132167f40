"""The model that a plan is about: its name and options or its graph, what it looks at and what it tells. Public."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, field

from policies import validate
from policies.errors import PlanError
from policies.plans.graph import packed_graph
from policies.plans.picture_form import LABEL_KINDS
from policies.plans.plan_json import ADDED_LATER

MAX_OPTIONS = 16
GRAPH_MODEL = "graph"
"""The name of every own model: its plan carries the graph."""
OWN_MODEL = "own model"
"""What people read in place of that name."""
MODEL_SOURCES = ("built_in", "graph")
"""Where a model may come from, as a hospital's limits name it."""


@dataclass(frozen=True)
class ModelSpec:
    """Which model is trained or evaluated.

    Attributes:
        name: A name from `datasites.training.models.MODELS`, or `graph` for an own model.
        image_shape: (height, width, channels) in pixels.
        num_classes: Size of the last layer.
        options: Further settings of that model, name → word, number or true/false, few and short; see
            `policies.plans.model_options` for those that each model takes.
        label_kind: What the outputs mean, as the dataset's schema says: `single`, a picture has one of the classes;
            `multi`, each class is a finding that a picture has, has not, or nobody knows.
        graph: The own model's graph, packed (`policies.plans.graph.packed_graph`), where the name is `graph`; else
            empty. What is in it is for `policies.graphs.own_model` to read and to prove.
    """

    name: str
    image_shape: tuple[int, int, int]
    num_classes: int
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict, hash=False)
    label_kind: str = field(default="single", metadata=ADDED_LATER)
    graph: str = field(default="", repr=False, metadata=packed_graph.IN_A_PLAN)

    def __post_init__(self) -> None:
        validate.name("model.name", self.name)
        if not isinstance(self.image_shape, list | tuple) or len(self.image_shape) != 3:
            raise PlanError(f"model.image_shape must be (height, width, channels), got {self.image_shape!r}.")
        for axis, size, high in zip(("height", "width", "channels"), self.image_shape, (4096, 4096, 4), strict=True):
            validate.integer(f"model.image_shape {axis}", size, low=1, high=high)
        validate.integer("model.num_classes", self.num_classes, low=2, high=10_000)
        if not isinstance(self.options, Mapping):
            raise PlanError(f"model.options must be a table of names and values, got {self.options!r}.")
        if len(self.options) > MAX_OPTIONS:
            raise PlanError(f"model.options may name at most {MAX_OPTIONS} options, got {len(self.options)}.")
        for key, value in self.options.items():
            validate.option(f"model.options.{validate.name('a name in model.options', key)}", value)
        validate.choice("model.label_kind", self.label_kind, LABEL_KINDS)
        self._check_graph()
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        object.__setattr__(self, "options", types.MappingProxyType(dict(sorted(self.options.items()))))

    def __reduce__(self) -> tuple[type[ModelSpec], tuple[object, ...]]:
        """Between processes the options travel as a plain table."""
        options = dict(self.options)
        return ModelSpec, (self.name, self.image_shape, self.num_classes, options, self.label_kind, self.graph)

    @property
    def is_own(self) -> bool:
        """Whether it is an own model, which the plan's graph describes."""
        return bool(self.graph)

    @property
    def called(self) -> str:
        """What people call it: a built-in one by its name, an own one so, since its name in a plan tells nothing."""
        return OWN_MODEL if self.is_own else self.name

    def check_engine(self, engine: str) -> None:
        """Refuses to train an own model by an engine that does not interpret graphs.

        Raises:
            PlanError: It is an own model, and the engine another than book-keeping.
        """
        if self.is_own and engine != "book_keeping":
            raise PlanError(
                f"Own models are trained by run.engine 'book_keeping' alone, got {engine!r}. Leave the engine out."
            )

    def _check_graph(self) -> None:
        packed_graph.check_form(self.graph)
        if bool(self.graph) != (self.name == GRAPH_MODEL):
            raise PlanError(
                f"model.graph and model.name {GRAPH_MODEL!r} go together: an own model has both, a built-in one "
                f"neither. Got {'a' if self.graph else 'no'} graph with model {self.name!r}."
            )
        if self.graph and self.options:
            raise PlanError(f"An own model takes no model.options, got {next(iter(self.options))!r}.")
        packed_graph.digest_of(self.graph)
