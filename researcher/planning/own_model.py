"""Reads the graph of an own model or an own loss from its file, for a plan to carry. Each hospital reads it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from policies.errors import ConfigError, PlanError
from policies.graphs.graph import Graph
from policies.graphs.limits import LIMITS, GraphLimits
from policies.graphs.losses.loss_graph import LOSS_LIMITS, LossGraph
from policies.graphs.losses.own_loss import objective_of
from policies.graphs.own_model import spec_of
from policies.plans.model_spec import ModelSpec
from policies.plans.objective.objective_spec import ObjectiveSpec

if TYPE_CHECKING:
    from researcher.hospitals.hospital import DatasetInfo


def own_model(source: Graph | Path | str, dataset: DatasetInfo) -> ModelSpec:
    """Returns an own model for a dataset, as a plan carries it.

    Args:
        source: The graph, or the file that `capture` wrote.
        dataset: What hospitals publish of the dataset.

    Raises:
        ConfigError: The file cannot be read.
        GraphError: It holds no graph, or one that cannot be proved or is too long for a plan.
        PlanError: The graph is for other pictures or classes than the dataset's.
    """
    text = source.to_json() if isinstance(source, Graph) else _text(Path(source), LIMITS, "model")
    model = spec_of(text, label_kind=dataset.label_kind)
    wanted = (tuple(dataset.image_shape), len(dataset.class_names))
    if (model.image_shape, model.num_classes) != wanted:
        raise PlanError(
            f"The own model takes pictures of {model.image_shape} and tells {model.num_classes} classes; the dataset "
            f"has {wanted[0]} and {wanted[1]}. Capture the network with these as image_shape and num_classes."
        )
    return model


def own_objective(source: LossGraph | Path | str) -> ObjectiveSpec:
    """Returns an own loss, as a plan carries it; whether it is for a dataset's labels is for `check_loss`.

    Args:
        source: The loss, or the file that `capture` wrote.

    Raises:
        ConfigError: The file cannot be read.
        GraphError: It holds no loss, or one that cannot be proved or is too long for a plan.
    """
    return objective_of(source.to_json() if isinstance(source, LossGraph) else _text(Path(source), LOSS_LIMITS, "loss"))


def _text(file: Path, limits: GraphLimits, what: str) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(limits.characters + 1)
        return content.decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} cannot be read as the graph of an own {what}. Take what `python -m researcher capture` wrote."
        ) from error
