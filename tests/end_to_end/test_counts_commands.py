"""`statistics` and `evaluate --at_hospitals` as a researcher types them, while the hospitals decide."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.hospitals import CLASSES, Hospital, command, draw_pictures, requests_of
from support.waiting import wait_for

from policies.errors import ConfigError

if TYPE_CHECKING:
    from researcher.evaluation.hold_out import HoldOut

NOISE = "3"


def _ask(
    hospitals: dict[str, Hospital],
    out: Path,
    *arguments: str | Path,
    noise: tuple[str, ...] = ("--noise_multiplier", NOISE),
) -> str:
    """Types a command, approves at both hospitals what it submits, and returns what it prints."""
    credentials = [hospital.credentials() for hospital in hospitals.values()]
    given = (*noise, "--out", out, "--credentials", *credentials)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(command, "-m", "researcher", *arguments, *given)
        requests = wait_for(lambda: {"asked": "already"} if asked.done() else requests_of(out, len(hospitals)))
        if not asked.done():
            for name, request_id in requests.items():
                hospitals[name].admin("approve", request_id)
        return asked.result().stdout


def _released(file: Path) -> tuple[dict[str, dict[str, np.ndarray]], float]:
    values = json.loads(file.read_text())
    assert set(values["epsilon"]) == {"north", "south"} and min(values["epsilon"].values()) > 0
    arrays = {name: {key: np.array(one) for key, one in held.items()} for name, held in values["released"].items()}
    return arrays, values["noise_std"]


def test_statistics_prints_and_keeps_each_hospitals_noised_counts(pair: dict[str, Hospital], tmp_path: Path) -> None:
    out = tmp_path / "statistics"
    printed = _ask(pair, out, "statistics", "--study", "counted")
    assert all(word in printed for word in ("north", "south", *CLASSES, "channel mean"))
    arrays, noise = _released(out / "statistics.json")
    for seed, name in enumerate(("north", "south")):
        true = np.bincount(draw_pictures(150, seed)[1], minlength=2)
        assert np.abs(arrays[name]["class_counts"] - true).max() < 6 * noise


def test_a_saved_model_is_scored_on_the_hospitals_own_pictures(pair: dict[str, Hospital], tmp_path: Path) -> None:
    from datasites.training.models import initial_weights
    from policies.plans.training import ModelSpec
    from researcher.studies.checkpoints import Checkpoint, save_model

    spec = ModelSpec("linear", (16, 16, 1), 2)
    bright = {**initial_weights(spec, 0), "head.bias": np.array([-1e6, 1e6], np.float32)}
    saved = save_model(tmp_path / "bright.safetensors", Checkpoint(bright, spec, 1, CLASSES, "0" * 64, {}))
    out = tmp_path / "evaluation"
    printed = _ask(pair, out, "evaluate", saved, "--at_hospitals", "--study", "scored")
    assert all(word in printed for word in ("north", "south", "all together", "AUROC", "recall"))
    arrays, noise = _released(out / "evaluation.json")
    for seed, name in enumerate(("north", "south")):
        dark, bright_ones = np.bincount(draw_pictures(150, seed)[1], minlength=2)
        expected = np.array([[0, dark], [0, bright_ones]])
        assert np.abs(arrays[name]["confusion"] - expected).max() < 6 * noise


@pytest.mark.parametrize(
    "studies", [(), pytest.param(("few", "few-again"), marks=pytest.mark.slow)], ids=["none", "two"]
)
def test_a_gram_matrix_is_asked_for_once_and_studies_in_few_rounds_step_by_it(
    pair: dict[str, Hospital], hold_out: HoldOut, tmp_path: Path, studies: tuple[str, ...]
) -> None:
    from datasites.training.models import initial_weights
    from researcher.counts.kept_gram import KeptGram
    from researcher.hospitals.federation import Federation
    from researcher.planning.planning import StudySettings, make_plan
    from researcher.studies.study import Study
    from researcher.terminal.training_session import chosen_strategy

    gram, credentials = tmp_path / "gram", [hospital.credentials() for hospital in pair.values()]
    printed = _ask(pair, gram, "gram", "--study", f"few-{len(studies)}", "--epsilon", "2", noise=())
    assert f"\n  --gram {gram}\n" in printed  # to be copied: no line is broken for a terminal's width
    kept = KeptGram.load(gram)
    assert sorted(kept.arrays) == ["north", "south"]
    assert sorted(one.name for one in (gram / "receipts").glob("*.json")) == [f"{name}.receipt.json" for name in pair]
    for name, digest in kept.digests.items():  # each hospital signed the digest of what left
        (entry,) = json.loads((gram / "receipts" / f"{name}.receipt.json").read_text())["receipt"]["rounds"]
        assert entry["update_digest"] == digest
    with Federation.connect(credentials) as federation:
        for number, study_name in enumerate(studies):
            settings = StudySettings(
                study=study_name, recipe="few_rounds", model="scattering_linear", epsilon=2.0, num_rounds=2
            )
            plan = make_plan(settings, federation.datasets())
            study = Study.submit(federation, plan, tmp_path / study_name)
            for name, request in study.requests.items():
                card = pair[name].admin_json("show", request.request_id)
                assert card["plan"]["server"]["strategy"] == "dp_fc"
                pair[name].admin("approve", request.request_id)
            first = initial_weights(plan.model, number)
            with pytest.raises(ConfigError, match="has none"):
                study.run(hold_out=hold_out, initial_weights=first)
            strategy = chosen_strategy(plan, study.folder, gram)
            state, history = study.run(hold_out=hold_out, initial_weights=first, strategy=strategy)
            assert [len(record.datasites) for record in history.records] == [2, 2]
            assert np.abs(state.weights["head.weight"]).max() > 0
