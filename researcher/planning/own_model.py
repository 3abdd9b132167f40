"""Reads the graph of an own model from its file, and makes it a plan's model. Each hospital reads it again."""

from __future__ import annotations

from pathlib import Path

from policies.errors import ConfigError, PlanError
from policies.graphs.graph import Graph
from policies.graphs.limits import LIMITS
from policies.graphs.own_model import spec_of
from policies.plans.model_spec import ModelSpec
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
    text = source.to_json() if isinstance(source, Graph) else _text(Path(source))
    model = spec_of(text, label_kind=dataset.label_kind)
    wanted = (tuple(dataset.image_shape), len(dataset.class_names))
    if (model.image_shape, model.num_classes) != wanted:
        raise PlanError(
            f"The own model takes pictures of {model.image_shape} and tells {model.num_classes} classes; the dataset "
            f"has {wanted[0]} and {wanted[1]}. Capture the network with these as image_shape and num_classes."
        )
    return model


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(LIMITS.characters + 1)
        return content.decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} cannot be read as the graph of an own model. Take what `python -m researcher capture` wrote."
        ) from error
