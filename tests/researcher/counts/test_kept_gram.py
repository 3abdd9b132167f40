"""A Gram matrix in a folder: it reads back as it came, serves studies of the same features, and no others."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pytest

from policies.contracts.encodings import decode, encode
from policies.errors import ConfigError
from policies.plans.features import FeatureSpec
from policies.plans.releases import GramPlan, ReleaseSpec
from policies.plans.training import ModelSpec, PrivacySpec, ServerSpec, TrainingPlan
from researcher.counts.kept_gram import GRAM_FILE, KeptGram
from researcher.counts.releases import Released
from researcher.strategies import ServerState, released_digest
from researcher.studies.history import PHASES, History, PrivacySpent, RoundRecord
from researcher.terminal.training_session import chosen_strategy, keep_gram, result_of

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


def test_its_digests_are_those_of_the_bytes_that_left_and_are_noted_with_it(kept, tmp_path):
    shapes = dict(PLAN.outputs)
    for name, arrays in kept.arrays.items():
        content = encode(arrays, "none", seed=b"")
        assert hashlib.sha256(content).hexdigest() == kept.digests[name]
        again = decode(content, shapes, "none", max_bytes=len(content))
        assert released_digest(again) == kept.digests[name]
    path = kept.save(tmp_path)
    about = json.loads(path.read_text())
    assert about["digests"] == kept.digests
    path.write_text(json.dumps({**about, "digests": {**kept.digests, "north": "0" * 64}}))
    with pytest.raises(ConfigError, match="digests are of other arrays"):
        KeptGram.load(tmp_path)
    path.write_text(json.dumps({name: value for name, value in about.items() if name != "digests"}))
    assert KeptGram.load(tmp_path).digests == kept.digests


def test_a_study_steps_by_it_and_keeps_it(kept, tmp_path):
    gram, study = tmp_path / "gram", tmp_path / "study"
    gram.mkdir(), study.mkdir()
    kept.save(gram)
    (gram / "receipts").mkdir()
    (gram / "receipts" / "north.receipt.json").write_text("signed")
    assert chosen_strategy(STUDY, study).lacks
    first = chosen_strategy(STUDY, study, gram)
    assert (first.server_learning_rate, first.server_ridge, first.server_momentum) == (8.0, 90.0, 0.3)
    keep_gram(STUDY, study, gram)
    assert np.array_equal(chosen_strategy(STUDY, study).gram.matrix, first.gram.matrix)
    later = tmp_path / "later"
    for folder, of in ((study, gram), (later, study)):  # a study's folder serves a later study as well
        keep_gram(STUDY, folder, of)
        assert (folder / "gram_receipts" / "north.receipt.json").read_text() == "signed"


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


def epsilon_by_hand(mu_squared, delta):
    """The epsilon at which Gaussian steps of this mu squared are private: Balle and Wang's formula, by bisection."""
    mu, normal, low, high = math.sqrt(mu_squared), NormalDist().cdf, 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        far = normal(mu / 2 - middle / mu) - math.exp(middle) * normal(-mu / 2 - middle / mu)
        low, high = (middle, high) if far > delta else (low, middle)
    return high


def test_what_matrix_and_study_cost_together_is_one_sum_of_squares(kept):
    alone = epsilon_by_hand(20 / 25, 1e-5)
    stopped = epsilon_by_hand(7 / 25, 1e-5)
    privacy = {
        "north": PrivacySpent(alone, 1e-5, "picture"),
        "south": PrivacySpent(stopped, 1e-5, "picture"),
        "east": PrivacySpent(alone, 1e-5, "picture"),  # which gave no matrix
        "west": None,
    }
    found = kept.with_study(STUDY, privacy)
    assert found["north"].epsilon == pytest.approx(epsilon_by_hand(1 / 4 + 20 / 25, 1e-5), rel=1e-4)
    assert found["south"].epsilon == pytest.approx(epsilon_by_hand(1 / 4 + 7 / 25, 1e-5), rel=1e-4)
    assert (found["east"], found["west"]) == (privacy["east"], None)
    never_ran = kept.with_study(STUDY, {"north": None})["north"]
    assert never_ran.epsilon == pytest.approx(epsilon_by_hand(1 / 4, 1e-5), rel=1e-4)
    more = PrivacySpent(50.0, 1e-5, "picture")  # a ledger that charged more than the plan's rounds is not told less
    assert kept.with_study(STUDY, {"north": more})["north"].epsilon == 50.0


def test_a_studys_result_tells_both(kept, tmp_path):
    kept.save(tmp_path)
    spent = {name: PrivacySpent(epsilon_by_hand(20 / 25, 1e-5), 1e-5, "picture") for name in ("north", "south")}
    epsilon = {name: one.epsilon for name, one in spent.items()}
    record = RoundRecord(1, ("north", "south"), 0.5, 0.5, ((1, 0), (0, 1)), dict.fromkeys(PHASES, 1.0), 1, 1, epsilon)
    study = SimpleNamespace(
        canaries={},
        invited={},
        plan=STUDY,
        folder=tmp_path,
        requests={"north": None, "south": None},
        refused={},
        federation=SimpleNamespace(hospitals={}),
        privacy=lambda history: spent,
    )
    result = result_of(study, ServerState({}, 1), History([record]), SimpleNamespace(class_names=("a", "b")))
    assert result.privacy == spent and result.gram_noise == 2.0
    assert result.privacy_total == kept.with_study(STUDY, spent)
    for name, both in result.privacy_total.items():
        assert both is not None and both.epsilon > spent[name].epsilon


@pytest.mark.parametrize("size", [0, -5, float("nan"), float("inf"), 10**400])
def test_a_public_size_that_is_none_is_refused(kept, tmp_path, size):
    kept.save(tmp_path)
    about = json.loads((tmp_path / GRAM_FILE).read_text())
    about["public_sizes"]["north"] = size
    (tmp_path / GRAM_FILE).write_text(json.dumps(about))
    with pytest.raises(ConfigError, match="changed or cut"):
        KeptGram.load(tmp_path)


def test_a_file_that_is_nested_without_end_is_refused(tmp_path):
    (tmp_path / GRAM_FILE).write_text("[" * 200_000)
    with pytest.raises(ConfigError, match="changed or cut"):
        KeptGram.load(tmp_path)


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
