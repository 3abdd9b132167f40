"""The split of one data set among made-up hospitals: evenly, by draws for each class, or by a column's values.

A privacy unit is dealt out whole: all pictures of a patient stay at one hospital. Shares of each class drawn from a
symmetric Dirichlet distribution are those of Yurochkin et al., "Bayesian Nonparametric Federated Learning of Neural
Networks", ICML 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.errors import DataError
from researcher.simulation.settings import SimulationSettings

_SPLIT = 1  # of the numbers that a seed's generators are told apart by


@dataclass(frozen=True)
class Share:
    """What one made-up hospital is given.

    Attributes:
        name: Of the hospital.
        units: int64, (U,), numbers of its units, at least one.
        value: Of the column that it stands for; empty where none is.
    """

    name: str
    units: np.ndarray
    value: str = ""


def shared_out(
    settings: SimulationSettings, classes: np.ndarray, values: Sequence[str] | None = None
) -> tuple[Share, ...]:
    """Deals out units by the settings' rule. The same arguments always give the same shares.

    Args:
        settings: The rule, the number of hospitals and the seed.
        classes: int64, (U,), class of each unit; only `dirichlet` reads it.
        values: Of the column, one for each unit; None for the other rules.

    Raises:
        DataError: There are fewer units than hospitals, or fewer hospitals than the column has values.
    """
    random = np.random.default_rng([settings.seed, _SPLIT])
    if values is not None:
        return _by_value(values, settings.hospitals, random)
    hospitals = settings.hospitals or 1
    _check_enough(len(classes), hospitals)
    if settings.split == "dirichlet":
        owners = _drawn(classes, hospitals, settings.alpha, random)
    else:
        owners = random.permutation(len(classes)) % hospitals
    width = len(str(hospitals))
    return tuple(
        Share(f"hospital_{number + 1:0{width}d}", np.flatnonzero(owners == number)) for number in range(hospitals)
    )


def _drawn(classes: np.ndarray, hospitals: int, alpha: float, random: np.random.Generator) -> np.ndarray:
    """Which hospital each unit goes to; who would get none is given one of the largest's."""
    owners = np.empty(len(classes), np.int64)
    for label in np.unique(classes):
        here = np.flatnonzero(classes == label)
        owners[here] = random.choice(hospitals, size=len(here), p=random.dirichlet([alpha] * hospitals))
    held = np.bincount(owners, minlength=hospitals)
    for empty in np.flatnonzero(held == 0):
        largest = int(held.argmax())
        owners[random.choice(np.flatnonzero(owners == largest))] = empty
        held[largest], held[empty] = held[largest] - 1, 1
    return owners


def _by_value(values: Sequence[str], hospitals: int | None, random: np.random.Generator) -> tuple[Share, ...]:
    """A hospital for each value, or several that share its units evenly, the more the more units it has."""
    known, number = np.unique(np.array(values), return_inverse=True)
    sizes = np.bincount(number)
    wanted = len(known) if hospitals is None else hospitals
    if wanted < len(known):
        raise DataError(
            f"The column has {len(known)} values, more than the {wanted} hospitals that are asked for. Ask for "
            f"{len(known)} or more, or leave the number out."
        )
    _check_enough(len(values), wanted)
    each = np.ones(len(known), np.int64)
    for _ in range(wanted - len(known)):
        each[np.argmax(np.where(each < sizes, sizes / each, 0))] += 1
    shares: list[Share] = []
    width = len(str(wanted))
    for place, value in enumerate(known):
        for part in np.array_split(random.permutation(np.flatnonzero(number == place)), each[place]):
            shares.append(Share(f"hospital_{len(shares) + 1:0{width}d}", np.sort(part), str(value)))
    return tuple(shares)


def _check_enough(units: int, hospitals: int) -> None:
    if units < hospitals:
        raise DataError(f"The data hold {units} units, too few for {hospitals} hospitals. Ask for {units} or fewer.")
