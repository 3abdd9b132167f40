"""Datasets side by side: what differs, whether it matters, and what it means."""

from __future__ import annotations

from typing import Any

import pytest
from support.notebooks import dataset, faults, federation, words

from policies.budget.limits import DatasetLimits
from policies.errors import FederationError
from policies.plans.picture_form import PictureForm
from researcher.hospitals.comparison import compare
from researcher.planning.planning import agreeing


def limits(**changes: Any) -> dict[str, Any]:
    return {**DatasetLimits().to_dict(), **changes}


@pytest.mark.parametrize(
    ("changes", "what", "told"),
    [
        ({"class_names": ("bright", "dark")}, "class_names", "label 0 is 'dark' at one and 'bright' at the other"),
        ({"class_names": ("Dark", "bright")}, "class_names", "only in how they are written ('dark' and 'Dark')"),
        ({"class_names": ("dark", "grey")}, "class_names", "'bright', 'grey' only at some"),
        ({"label_kind": "multi"}, "label_kind", "different models"),
        ({"unit": "patient"}, "unit", "no single epsilon"),
        ({"image_shape": (32, 32, 1)}, "image_shape", "one shape"),
        ({"form": PictureForm((16, 16), 1)}, "form", "different pictures"),
    ],
)
def test_what_one_study_cannot_use_is_told_with_what_it_means_and_refused_in_the_same_words(
    changes: dict[str, Any], what: str, told: str
) -> None:
    datasets = [dataset("north"), dataset("south", **changes)]
    (found,) = [one for one in compare(datasets) if one.matters]
    assert found.what == what and told in found.means
    assert set(found.values) == {"north", "south"}
    with pytest.raises(FederationError, match="differ in") as refused:
        agreeing(datasets)
    assert found.means in refused.value.public


@pytest.mark.parametrize(
    ("limit", "values", "told"),
    [
        ("max_rounds", (500, 20), "keeps to 20"),
        ("min_noise_multiplier", (0.5, 1.25), "keeps to 1.25"),
        ("learning_rates", ((0.001, 1.0), (0.1, 10.0)), "within 0.1 to 1"),
        ("allow_non_private", (True, False), "against its own"),
    ],
)
def test_limits_that_differ_are_told_with_what_fits_all_and_stop_nothing(
    limit: str, values: tuple[Any, Any], told: str
) -> None:
    datasets = [dataset(name, limits=limits(**{limit: value})) for name, value in zip("ab", values, strict=True)]
    (found,) = compare(datasets)
    assert (found.what, found.matters) == (f"limits.{limit}", False)
    assert told in found.means
    assert agreeing(datasets) == datasets[0]


def test_what_hospitals_say_of_modality_and_terms_is_told_and_stops_nothing() -> None:
    found = compare([dataset("a", modality="xray"), dataset("b", terms_of_use="Cite us.")])
    assert [(one.what, one.matters) for one in found] == [("modality", False), ("terms_of_use", False)]


def test_a_card_tells_what_kind_of_pictures_they_are_where_the_hospital_says_it() -> None:
    told = words(federation(dataset("a", modality="xray"), dataset("b")).datasets()._repr_html_())
    assert "xray, 16 x 16 x 1" in told and told.count("16 x 16 x 1") == 2
    assert "other, 16" not in told


def test_datasets_of_no_common_name_are_told_as_such() -> None:
    (found,) = compare([dataset("a"), dataset("b", name="xrays")])
    assert found.matters and found.values == {"a": "pictures", "b": "xrays"}
    assert compare([dataset("a"), dataset("b"), dataset("b", name="xrays")]) == ()


def test_datasets_show_every_card_every_budget_and_the_verdict() -> None:
    asked = federation(dataset("north"), dataset("south", class_names=("bright", "dark")))
    shown = asked.datasets()
    seen = words(shown._repr_html_())
    assert not list(faults(shown._repr_html_()))
    for part in ("north: pictures", "south: pictures", "epsilon 6.00 of 8 at delta 1e-5", "300", "matters"):
        assert part in seen
    assert not shown.agree and "One study cannot use all of them: 1 difference matters." in repr(shown)
    assert federation().datasets().agree


def test_a_hospital_that_does_not_answer_is_shown_without_its_budget() -> None:
    asked = federation()
    asked.hospitals["south"].routes.reachable = False  # type: ignore[attr-defined]
    shown = asked.datasets()
    assert list(shown.budgets) == [("north", "pictures")]
    assert "not told" in words(shown._repr_html_())


def test_a_hospital_that_nobody_is_connected_to_is_named() -> None:
    with pytest.raises(FederationError, match=r"'nroth'; there is to north, south"):
        federation().only("nroth")
