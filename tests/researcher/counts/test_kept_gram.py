"""A Gram matrix in a folder: it reads back as it came, serves studies of the same features, and no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from policies.errors import ConfigError
from policies.plans.features import FeatureSpec
from policies.plans.releases import GramPlan, ReleaseSpec
from policies.plans.training import ModelSpec, PrivacySpec, ServerSpec, TrainingPlan
from researcher.counts.kept_gram import GRAM_FILE, KeptGram
from researcher.counts.releases import Released
from researcher.terminal.training_session import chosen_strategy, keep_gram

MODEL = ModelSpec("features", (28, 28, 3), 2, FeatureSpec("vit_small_patch16_224", "a" * 64).options)
PLAN = GramPlan("study", "cells", MODEL, ReleaseSpec(2.0, 1e-5))
STUDY = TrainingPlan(
    *("other", "cells", replace(MODEL, num_classes=6), 20, 1, 1.0, 1.0),
    privacy=PrivacySpec(5.0, 9.8, 1e-5),
    server=ServerSpec("dp_fc", 8.0, server_ridge=90.0),
    server_momentum=0.3,
)


@pytest.fixture
def kept():
    draw = np.random.default_rng(1).standard_normal
    arrays = {
        name: {output: draw(shape).astype(np.float32) for output, shape in PLAN.outputs.items()}
        for name in ("south", "north")
    }
    released = Released(arrays, 2.0, {"north": 2.1, "south": 2.1}, {"east": "away"})
    return KeptGram.of(PLAN, released, {"north": 300, "south": 200, "east": 100})


def test_it_reads_back_as_it_came(kept, tmp_path):
    kept.save(tmp_path)
    again = KeptGram.load(tmp_path)
    assert (again.plan, dict(again.public_sizes)) == (PLAN, {"north": 300, "south": 200})
    assert dict(again.epsilon) == {"north": 2.1, "south": 2.1}
    assert np.array_equal(again.summed().matrix, kept.summed().matrix)
    assert again.summed().public_size == 500
    for name, arrays in kept.arrays.items():
        for output, array in arrays.items():
            assert np.array_equal(again.arrays[name][output], array)


def test_a_study_steps_by_it_and_keeps_it(kept, tmp_path):
    gram, study = tmp_path / "gram", tmp_path / "study"
    gram.mkdir(), study.mkdir()
    kept.save(gram)
    assert chosen_strategy(STUDY, study).lacks
    first = chosen_strategy(STUDY, study, gram)
    assert (first.server_learning_rate, first.server_ridge, first.server_momentum) == (8.0, 90.0, 0.3)
    keep_gram(STUDY, study, gram)
    assert np.array_equal(chosen_strategy(STUDY, study).gram.matrix, first.gram.matrix)


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "smears"},
        {"model": replace(STUDY.model, options={**STUDY.model.options, "weights_sha256": "b" * 64})},
        {"model": ModelSpec("scattering_linear", (28, 28, 3), 6)},
    ],
)
def test_a_study_of_other_features_is_refused(kept, tmp_path, changes):
    kept.save(tmp_path)
    with pytest.raises(ConfigError, match="The Gram matrix is of the features of"):
        chosen_strategy(replace(STUDY, **changes), tmp_path)


def test_a_study_that_takes_none_is_given_none(kept, tmp_path):
    kept.save(tmp_path)
    plain = replace(STUDY, server=ServerSpec())
    with pytest.raises(ConfigError, match="leave out --gram"):
        chosen_strategy(plain, tmp_path, tmp_path)
    keep_gram(plain, tmp_path / "none", tmp_path)
    assert not (tmp_path / "none").exists()


def test_a_folder_without_one_and_a_changed_one_are_refused(kept, tmp_path):
    with pytest.raises(ConfigError, match="researcher gram"):
        KeptGram.load(tmp_path)
    kept.save(tmp_path)
    (tmp_path / GRAM_FILE).write_text("{}")
    with pytest.raises(ConfigError, match="changed or cut"):
        KeptGram.load(tmp_path)
    kept.save(tmp_path)
    array = next(tmp_path.glob("gram-*.safetensors"))
    array.write_bytes(array.read_bytes()[:-1] + b"\0")
    with pytest.raises(ConfigError, match="is not the file that was saved"):
        KeptGram.load(tmp_path)
