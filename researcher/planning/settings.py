"""Settings that a researcher may choose of a study, each declared once: its default, what it is, which words it takes.

The options of `submit` and `train` are made from here, so the command line and Python have the same defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from policies import validate
from policies.errors import ConfigError
from policies.plans.model_spec import GRAPH_MODEL
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.rounds.sampling import POISSON
from policies.plans.training import MAX_ROUNDS, RunSpec, ServerSpec, TrainingPlan
from policies.plans.words.statement import STATEMENT, Statement
from policies.settings import declared, file, setting, setting_of

if TYPE_CHECKING:
    from pathlib import Path

    from policies.graphs.graph import Graph
    from policies.graphs.losses.loss_graph import LossGraph

RECIPES = ("none", "auto", "few_rounds")


def _derived(help_text: str, **form: Any) -> Any:
    """A setting that a recipe sets: None, so that what somebody gave is told apart from what holds by default."""
    return setting(help_text, default=None, derived=True, **form)


def _of_plan(name: str, *, derived: bool = False, plain: Any = None) -> Any:
    """A setting of the plan, which declares it: what it is and, unless `plain` says another one, its default."""
    of_plan = declared(TrainingPlan)[name]
    default = of_plan.default if plain is None else plain
    form = {"default": None, "plain": default, "derived": True} if derived else {"default": default}
    return setting(of_plan.help, choices=of_plan.choices, kind=of_plan.kind, **form)


@dataclass(frozen=True)
class StudySettings:
    """The settings that a researcher chooses; the rest of the plan follows from them and from the datasets' schema.

    What each setting is stands in its declaration, and in the reference of commands. A setting that a recipe derives is
    None unless it is given: then its default holds, or what the recipe says. `epsilon` is None for no differential
    privacy. `statement` is what the researcher says of the study, in words of their own; None says nothing.
    """

    study: str = setting("name of the study", default="study")
    model: str = setting("model", default="small_cnn")
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    model_graph: Graph | Path | str | None = setting(
        "own model in place of a built-in one: the file that capture wrote", default=None, kind=file
    )
    loss_graph: LossGraph | Path | str | None = setting(
        "own loss in place of a built-in one: the file that capture wrote", default=None, kind=file
    )
    recipe: str = setting(
        "auto: all settings of training from sizes, epsilon, delta, rounds and model; few_rounds: likewise, for a head "
        "on features in at most 20 rounds, by a Gram matrix that is asked for once",
        default="none",
        choices=RECIPES,
    )
    num_rounds: int | None = setting("rounds", default=None, plain=5)
    local_epochs: float | None = _derived("passes over the pictures a round", plain=1.0)
    sample_rate: float | None = _derived("share of the units a step draws", plain=0.1)
    epsilon: float | None = setting("cost of the whole study at each hospital", default=3.0)
    noise_multiplier: float | None = _derived("the noise itself, instead of an epsilon", kind=float)
    delta: float = setting("at which epsilon is stated", default=1e-5)
    repetitions: int = setting("studies of this length that the epsilon has to cover", default=1)
    max_grad_norm: float | None = _derived("clipping bound", plain=1.0)
    learning_rate: float | None = _derived("of the local optimiser", plain=0.5)
    learning_rate_schedule: str | None = _of_plan("learning_rate_schedule", derived=True, plain="cosine")
    momentum: float | None = _of_plan("momentum", derived=True)
    weight_decay: float = _of_plan("weight_decay")
    proximal_mu: float = _of_plan("proximal_mu")
    augmentation: str = _of_plan("augmentation")
    augmentation_multiplicity: int | None = _of_plan("augmentation_multiplicity", derived=True)
    pictures_per_patient: int = _of_plan("pictures_per_patient")
    sampling: str = _of_plan("sampling")
    server_momentum: float | None = _of_plan("server_momentum", derived=True)
    server_averaging: float | None = _of_plan("server_averaging", derived=True)
    weights_encoding: str = _of_plan("weights_encoding")
    update_encoding: str = _of_plan("update_encoding")
    late_updates: str = _of_plan("late_updates")
    run: RunSpec = field(default_factory=RunSpec)
    server: ServerSpec = field(default_factory=ServerSpec)
    objective: ObjectiveSpec = field(default_factory=ObjectiveSpec)
    statement: Statement | None = setting_of(STATEMENT)

    def __post_init__(self) -> None:
        validate.choice("recipe", self.recipe, RECIPES)
        if self.num_rounds is not None:
            validate.integer("num_rounds", self.num_rounds, low=1, high=MAX_ROUNDS)
        not_given = (declared(StudySettings)["model"].default, GRAPH_MODEL)
        if self.model_graph is not None and (self.options or self.model not in not_given):
            raise ConfigError("model_graph is the model, and takes no options. Leave out model and its options.")
        if self.loss_graph is not None and self.objective != ObjectiveSpec():
            raise ConfigError("loss_graph is the loss. Leave out loss, label_smoothing and weights.")
        if self.recipe == "none":
            return
        for one in declared(StudySettings).values():
            if one.derived and getattr(self, one.name) is not None:
                raise ConfigError(f"{one.name} is derived by recipe {self.recipe}. Leave out one of the two.")
        if self.recipe == "few_rounds" and self.server != ServerSpec():
            raise ConfigError("The strategy is derived by recipe few_rounds, which is dp_fc. Leave out one of the two.")
        if self.recipe == "few_rounds" and self.sampling != POISSON:
            raise ConfigError(
                "Everybody takes part in each step of recipe few_rounds: no unit is drawn, and sampling has nothing to "
                "say. Leave out one of the two."
            )
        if self.recipe == "few_rounds" and (self.loss_graph is not None or self.objective.is_own):
            raise ConfigError(
                "The steps of recipe few_rounds were fixed for cross-entropy, whose slope is bounded and fades as a "
                "model learns: by an own loss they may swing from round to round or drown in the noise. Use recipe "
                "auto with it, or few_rounds with a built-in loss."
            )

    def chosen(self, name: str) -> Any:
        """What was given for the setting of this name, which may be None, else its default."""
        given = getattr(self, name)
        return declared(StudySettings)[name].default if given is None else given
