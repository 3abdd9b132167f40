"""How units are shared out to made-up hospitals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from policies.errors import ConfigError, DataError, PlanError
from researcher.simulation.made_up import in_order
from researcher.simulation.settings import SimulationSettings
from researcher.simulation.split import Share, shared_out

CLASSES = np.repeat(np.arange(4), 50)


def sizes(shares: tuple[Share, ...]) -> list[int]:
    return [len(share.units) for share in shares]


def everything(shares: tuple[Share, ...]) -> list[int]:
    return sorted(np.concatenate([share.units for share in shares]).tolist())


def test_an_even_split_gives_each_hospital_as_many_units_and_each_unit_to_one() -> None:
    shares = shared_out(SimulationSettings(hospitals=8), CLASSES)
    assert sizes(shares) == [25] * 8
    assert everything(shares) == list(range(200))
    assert [share.name for share in shares][:2] == ["hospital_1", "hospital_2"]


def test_the_same_seed_gives_the_same_shares_and_another_one_others() -> None:
    settings = SimulationSettings(hospitals=5, split="dirichlet")
    first, again, other = (shared_out(one, CLASSES) for one in (settings, settings, replace(settings, seed=1)))
    assert [share.units.tolist() for share in first] == [share.units.tolist() for share in again]
    assert [share.units.tolist() for share in first] != [share.units.tolist() for share in other]


def test_a_smaller_alpha_makes_hospitals_differ_more() -> None:
    def most_common(alpha: float) -> float:
        shares = shared_out(SimulationSettings(hospitals=10, split="dirichlet", alpha=alpha), CLASSES)
        assert everything(shares) == list(range(200))
        return float(np.mean([np.bincount(CLASSES[share.units]).max() / len(share.units) for share in shares]))

    assert most_common(0.05) > most_common(100.0) + 0.2


def test_no_hospital_is_empty_however_uneven_the_draw() -> None:
    shares = shared_out(SimulationSettings(hospitals=150, split="dirichlet", alpha=0.05), CLASSES)
    assert min(sizes(shares)) == 1
    assert everything(shares) == list(range(200))


def test_each_value_of_a_column_is_a_hospital() -> None:
    values = ["north"] * 30 + ["south"] * 10 + ["west"] * 2
    shares = shared_out(SimulationSettings(split="column", column="site"), np.zeros(42, np.int64), values)
    assert [(share.value, len(share.units)) for share in shares] == [("north", 30), ("south", 10), ("west", 2)]


def test_hospitals_beyond_the_columns_values_share_the_largest_ones() -> None:
    values = ["north"] * 30 + ["south"] * 10
    settings = SimulationSettings(hospitals=4, split="column", column="site")
    shares = shared_out(settings, np.zeros(40, np.int64), values)
    assert [(share.value, len(share.units)) for share in shares] == [("north", 10)] * 3 + [("south", 10)]
    assert all(share.units.max() < 30 for share in shares[:3])


@pytest.mark.parametrize(
    ("settings", "values", "told"),
    [
        (SimulationSettings(hospitals=201), None, "201"),
        (SimulationSettings(hospitals=1, split="column", column="site"), ["a", "b"] * 100, "2 values"),
    ],
)
def test_more_hospitals_than_there_are_units_or_fewer_than_values_are_refused(
    settings: SimulationSettings, values: list[str] | None, told: str
) -> None:
    with pytest.raises(DataError, match=told):
        shared_out(settings, CLASSES, values)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"hospitals": 0},
        {"hospitals": 3, "split": "column"},
        {"hospitals": 3, "column": "site"},
        {"hospitals": 3, "alpha": 0.0},
        {"hospitals": 3, "held_back": 1.0},
        {"hospitals": 3, "in_process": True, "workers": 2},
        {"hospitals": 3, "in_process": True, "ray_address": "auto"},
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: dict[str, object]) -> None:
    with pytest.raises((ConfigError, PlanError)):
        SimulationSettings(**given)  # type: ignore[arg-type]


def test_each_hospitals_pictures_lie_beside_each_other_and_a_patients_stay_together() -> None:
    units = np.array([0, 1, 2, 0, 1, 3])
    images = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
    shares = (Share("a", np.array([1, 3])), Share("b", np.array([0, 2])))
    pictures, hospitals = in_order(shares, images, np.arange(6), units, None)
    first, second = (pictures.of(hospital) for hospital in hospitals)
    assert first.images.ravel().tolist() == [1, 4, 5] and first.units.tolist() == [0, 0, 1]
    assert second.images.ravel().tolist() == [0, 2, 3] and second.units.tolist() == [0, 1, 0]
    assert np.shares_memory(first.images, pictures.images)
    assert [hospital.public_size for hospital in hospitals] == [2, 2]
