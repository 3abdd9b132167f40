"""The options that say what a study shall be, and the wishes they become; the hospitals' limits decide."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from policies.contracts.encodings import ENCODINGS
from policies.errors import ConfigError
from policies.plans.training import ENGINES, PRECISIONS, RunSpec

if TYPE_CHECKING:
    from researcher.planning.planning import Wishes

DERIVED = (
    "local_epochs",
    "sample_rate",
    "noise_multiplier",
    "max_grad_norm",
    "learning_rate",
    "momentum",
    "augmentation_multiplicity",
    "server_momentum",
    "server_averaging",
)
"""Options that a recipe sets."""


def wishes_of(options: argparse.Namespace) -> Wishes:
    """What the options ask for.

    Raises:
        ConfigError: An option contradicts the recipe.
    """
    from researcher.planning.planning import Wishes

    return Wishes(
        study=options.study,
        model=options.model,
        options=dict(options.model_option),
        recipe=chosen_recipe(options),
        num_rounds=options.num_rounds,
        local_epochs=options.local_epochs,
        sample_rate=options.sample_rate,
        epsilon=None if options.no_dp else options.epsilon,
        noise_multiplier=None if options.no_dp else options.noise_multiplier,
        delta=options.delta,
        max_grad_norm=options.max_grad_norm,
        learning_rate=options.learning_rate,
        momentum=options.momentum,
        augmentation=options.augmentation,
        augmentation_multiplicity=options.augmentation_multiplicity,
        pictures_per_patient=options.pictures_per_patient,
        server_momentum=options.server_momentum,
        server_averaging=options.server_averaging,
        weights_encoding=options.weights_encoding,
        update_encoding=options.update_encoding,
        run=RunSpec(
            physical_batch_size=options.physical_batch_size,
            engine=options.engine,
            precision=options.precision,
            batch_margin=options.batch_margin,
        ),
    )


def chosen_recipe(options: argparse.Namespace) -> str:
    """The recipe, once no option contradicts it.

    Raises:
        ConfigError: One that the recipe derives was given beside it.
    """
    plain = argparse.ArgumentParser()
    add_wishes(plain)
    given = [name for name in DERIVED if getattr(options, name) != plain.get_default(name)]
    if options.recipe != "none" and given:
        raise ConfigError(f"--{given[0]} is derived by --recipe {options.recipe}. Leave out one of the two.")
    return str(options.recipe)


def add_wishes(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a study's plan."""
    _add_model(parser)
    _add_training(parser)
    _add_averaging_and_transport(parser)
    _add_performance(parser)
    parser.add_argument("--no-dp", action="store_true", help="no differential privacy; most hospitals refuse that")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", default="study", help="name of the study")
    parser.add_argument("--dataset", help="name of the dataset, where a hospital publishes several")
    parser.add_argument("--model", default="small_cnn", help="model (default small_cnn)")
    parser.add_argument(
        "--model_option",
        type=_model_option,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the model; may be given again",
    )
    parser.add_argument(
        "--recipe",
        default="none",
        choices=("none", "auto"),
        help="auto: all settings of training from sizes, epsilon, delta, rounds and model (default none)",
    )


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--num_rounds", type=int, help="rounds (default 5, or the recipe's)")
    parser.add_argument("--local_epochs", type=float, default=1.0, help="passes over the pictures a round (default 1)")
    parser.add_argument("--sample_rate", type=float, default=0.1, help="share of the units a step draws (default 0.1)")
    parser.add_argument("--epsilon", type=float, default=3.0, help="cost of the whole study (default 3)")
    parser.add_argument("--noise_multiplier", type=float, help="the noise itself, instead of --epsilon")
    parser.add_argument("--delta", type=float, default=1e-5, help="at which epsilon is stated (default 1e-5)")
    parser.add_argument("--max_grad_norm", type=float, default=1.0, help="clipping bound (default 1)")
    parser.add_argument("--learning_rate", type=float, default=0.5, help="of the local optimiser (default 0.5)")
    parser.add_argument("--momentum", type=float, default=0.0, help="of the local optimiser (default 0)")
    parser.add_argument(
        "--augmentation",
        default="none",
        choices=("none", "flips", "flips_and_turns"),
        help="of drawn pictures",
    )
    parser.add_argument(
        "--augmentation_multiplicity",
        type=int,
        default=1,
        help="views of each drawn picture in a step (default 1)",
    )
    parser.add_argument(
        "--pictures_per_patient",
        type=int,
        default=1,
        help="pictures of each drawn patient in a step, where the unit is patient (default 1)",
    )


def _add_averaging_and_transport(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server_momentum", type=float, default=0.0, help="share of the last mean update that is kept (default 0)"
    )
    parser.add_argument(
        "--server_averaging",
        type=float,
        default=0.0,
        help="share of the last average that the global model, averaged over rounds, keeps (default 0: no average)",
    )
    for what, told in (("weights", "global weights"), ("update", "client updates")):
        parser.add_argument(
            f"--{what}_encoding",
            default="none",
            choices=ENCODINGS,
            help=f"how {told} travel: zstd is lossless, fp16 and int8 are rounded (default none)",
        )


def _add_performance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engine", choices=ENGINES, default="book_keeping", help="of private steps, same results")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of a private step's model")
    parser.add_argument("--physical_batch_size", type=int, default=64, help="most pictures in memory (default 64)")
    parser.add_argument(
        "--batch_margin",
        type=float,
        default=5.0,
        help="standard deviations of room for a step's draw, so that time does not tell it (default 5)",
    )


def _model_option(text: str) -> tuple[str, str | int | float | bool]:
    """`NAME=VALUE` with a value as JSON has it, else as text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    try:
        read = json.loads(value)
    except ValueError:
        return name, value
    return name, read if isinstance(read, str | int | float | bool) else value
