"""docs/ref-models.md says what the catalogue of models says."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from pathlib import Path

import pytest

from datasites.training.models import MODELS, trainable_shapes
from policies.errors import PlanError
from policies.plans.features import BACKBONES, NORMALISATIONS, FeatureSpec
from policies.plans.model_options import TEXT_FORM_OPTIONS, TEXT_OPTIONS
from policies.plans.training import ModelSpec

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "ref-models.md").read_text()
ROWS = {
    cells[0]: cells[1:]
    for cells in re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", PAGE, re.MULTILINE)
}


def test_every_model_stands_there() -> None:
    assert set(ROWS) == set(MODELS)


PICTURES_ALONE = sorted(set(MODELS) - {"image_text", "features"})


@pytest.mark.parametrize("name", PICTURES_ALONE)
def test_a_models_options_and_sizes_are_those_it_takes(name: str) -> None:
    _, sizes, options = ROWS[name]
    with pytest.raises(PlanError) as refused:
        trainable_shapes(ModelSpec(name, (64, 64, 3), 2, {"none_such": 1}))
    told = refused.value.public.split("it takes ")[1].rstrip(".")
    assert sorted(re.findall(r"`(\w+)`", options)) == told.split(", ")
    if found := re.fullmatch(r"(\d+) to (\d+)", sizes.strip()):
        for size in map(int, found.groups()):
            trainable_shapes(ModelSpec(name, (size, size, 3), 2))
        for size in (int(found[1]) - 1, int(found[2]) + 1):
            with pytest.raises(PlanError, match="takes pictures from"):
                trainable_shapes(ModelSpec(name, (size, size, 3), 2))


@pytest.mark.parametrize("name", sorted(set(PICTURES_ALONE) - {"linear"}))
def test_a_models_number_of_parameters_is_about_right(name: str) -> None:
    number, unit = ROWS[name][0].split()
    stated = float(number) * {"k": 1e3, "M": 1e6}[unit]
    shapes = trainable_shapes(ModelSpec(name, (64, 64, 3), 4))
    assert sum(math.prod(shape) for shape in shapes.values()) == pytest.approx(stated, rel=0.05)


def test_the_options_of_the_model_that_reads_reports_are_those_it_takes() -> None:
    options = sorted((*TEXT_OPTIONS, *TEXT_FORM_OPTIONS))
    assert sorted(re.findall(r"`(\w+)`", ROWS["image_text"][2])) == options
    _, _, section = PAGE.partition("## Pictures and reports")
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == options


def test_the_options_of_the_model_that_reads_features_are_those_it_takes() -> None:
    options = [field.name for field in fields(FeatureSpec)]
    assert sorted(re.findall(r"`(\w+)`", ROWS["features"][2])) == sorted(options)
    section = PAGE.partition("## Features and a head")[2].partition("\n## ")[0]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:]] for line in section.splitlines() if "| `" in line]
    table = {name: cells for name, *cells in rows if name not in BACKBONES}
    assert sorted(table) == sorted(options)
    assert [table[name][0] for name in ("input_size", "normalisation")] == ["224", '"imagenet"']
    assert table["normalisation"][1] == ", ".join(sorted(NORMALISATIONS))
    assert {name: int(cells[0]) for name, *cells in rows if name in BACKBONES} == BACKBONES
