"""A request for counts that is taken up again is told as what it was, and what is asked otherwise is refused."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from policies.answers.requests import RequestAnswer
from policies.errors import ConfigError, DatasiteUnreachable, NotEnoughDatasites
from policies.plans.releases import GramPlan
from policies.plans.training import ModelSpec
from policies.terminal.rich_terminal import PlainConsole

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.counts import releases
    from researcher.counts.asked_before import ASKED_FILE
    from researcher.counts.kept_gram import KeptGram
    from researcher.counts.saved import SavedCounts
    from researcher.hospitals.code_request import CodeRequest
    from researcher.hospitals.hospital import DatasetInfo
    from researcher.planning.count_settings import CountSettings, GramSettings
    from researcher.studies.checkpoints import Checkpoint
    from researcher.terminal.counting_session import ask_for_evaluation, ask_for_gram, ask_for_statistics

NORTH = DatasetInfo("north", "cells", ("healthy", "nodule"), (32, 32, 1), "picture", 400, {})
SWAPPED = replace(NORTH, class_names=("nodule", "healthy"))
MODEL = Checkpoint(
    {"w": np.zeros(1, np.float32)}, ModelSpec("linear", (32, 32, 1), 2), 1, ("healthy", "nodule"), "0" * 64, {}
)
QUIET = PlainConsole(quiet=True)


class Hospitals:
    """One hospital in this process that approves and releases at once; notes which plans were submitted."""

    def __init__(self) -> None:
        self.info = NORTH
        self.missing: dict[str, str] = {}
        self.submitted: list[Any] = []
        routes = SimpleNamespace(
            request=lambda request_id: RequestAnswer(request_id, "approved", ""),
            receipt=lambda request_id: "{}",
            round_receipts={},
        )
        self.hospitals = {"north": SimpleNamespace(name="north", routes=routes, public_key="0" * 64)}

    def asked(self, name: str, ask: Any) -> Any:
        return ask(self.hospitals[name])

    def datasets(self) -> list[DatasetInfo]:
        return [self.info]

    def submit(self, plan: Any, named: Any, on_request: Any, on_refusal: Any) -> dict[str, CodeRequest]:
        self.submitted.append(plan)
        sent = CodeRequest(request_id="r" * 16, function="f", code_id="c")
        on_request("north", sent)
        return {"north": sent}


class Asked:
    """A round that releases at once."""

    def __init__(self, **named: Any) -> None:
        pass

    def run(self, content: object, outputs: dict[str, tuple[int, ...]]) -> Any:
        update = {name: np.full(shape, 100, np.float32) for name, shape in outputs.items()}
        return SimpleNamespace(take_update=lambda: update, epsilon=0.5)


@pytest.fixture
def hospitals(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(releases, "RemoteRound", Asked)
    return Hospitals()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def statistics(hospitals: Any, out: Path, **settings: Any) -> SavedCounts:
    ask_for_statistics(hospitals, CountSettings(**settings), out=out, console=QUIET)
    return SavedCounts.load(out)


def evaluation(hospitals: Any, out: Path, model: Checkpoint = MODEL, **settings: Any) -> SavedCounts:
    ask_for_evaluation(hospitals, model, CountSettings(**settings), out=out, console=QUIET)
    return SavedCounts.load(out)


def gram(hospitals: Any, out: Path, **settings: Any) -> KeptGram:
    ask_for_gram(hospitals, GramSettings(**settings), out=out, console=QUIET)
    return KeptGram.load(out)


@pytest.mark.parametrize("ask", [statistics, evaluation, gram])
def test_the_same_is_taken_up_again(hospitals: Any, tmp_path: Path, ask: Any) -> None:
    first = ask(hospitals, tmp_path)
    assert ask(hospitals, tmp_path).plan == first.plan and len(hospitals.submitted) == 1


def test_a_gram_matrix_is_never_kept_with_another_plan_than_its_own(hospitals: Any, tmp_path: Path) -> None:
    kept = gram(hospitals, tmp_path, epsilon=3.0)
    before, noise = contents(tmp_path), kept.plan.privacy.noise_multiplier
    with pytest.raises(ConfigError, match=rf"privacy.noise_multiplier is {noise} there and .* here.*--out"):
        gram(hospitals, tmp_path, epsilon=0.5)
    assert contents(tmp_path) == before and len(hospitals.submitted) == 1
    assert isinstance(kept.plan, GramPlan) and KeptGram.load(tmp_path).plan == kept.plan


@pytest.mark.parametrize("ask", [statistics, evaluation])
def test_counts_are_never_told_with_other_settings_than_theirs(hospitals: Any, tmp_path: Path, ask: Any) -> None:
    ask(hospitals, tmp_path)
    before = contents(tmp_path)
    told = 'privacy.noise_multiplier is 20.0 there and 40.0 here; study is "study" there and "other" here'
    with pytest.raises(ConfigError, match=told):
        ask(hospitals, tmp_path, study="other", noise_multiplier=40.0)
    assert contents(tmp_path) == before and len(hospitals.submitted) == 1


def test_counts_are_never_told_under_classes_in_another_order(hospitals: Any, tmp_path: Path) -> None:
    statistics(hospitals, tmp_path)
    before, hospitals.info = contents(tmp_path), SWAPPED
    with pytest.raises(ConfigError, match="classes healthy, nodule, in this order; they are nodule, healthy now"):
        statistics(hospitals, tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "change",
    [{"plan_digest": "1" * 64}, {"round": 2}, {"weights": {"w": np.ones(1, np.float32)}}],
    ids=["study", "round", "weights"],
)
def test_an_evaluation_is_taken_up_with_its_own_model_alone(
    hospitals: Any, tmp_path: Path, change: dict[str, Any]
) -> None:
    evaluation(hospitals, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=r"evaluation of another model, after round 1 of .*another folder with --out"):
        evaluation(hospitals, tmp_path, replace(MODEL, **change))
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("first", "then"), [(statistics, evaluation), (evaluation, statistics), (gram, statistics), (statistics, gram)]
)
def test_a_folder_keeps_one_kind_of_request(hospitals: Any, tmp_path: Path, first: Any, then: Any) -> None:
    first(hospitals, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match="holds a request of another kind"):
        then(hospitals, tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", [None, "", "{}", "[1]", '{"class_names": ["a"], "further": 1}'])
def test_a_folder_that_does_not_say_what_it_counts_is_refused(hospitals: Any, tmp_path: Path, text: str | None) -> None:
    statistics(hospitals, tmp_path)
    if text is None:
        (tmp_path / ASKED_FILE).unlink()
    else:
        (tmp_path / ASKED_FILE).write_text(text)
    with pytest.raises(ConfigError, match="--out"):
        statistics(hospitals, tmp_path)


class AskedOfTwo(Asked):
    """A round of which one hospital stays silent the second time."""

    silent: tuple[str, ...] = ()

    def __init__(self, **named: Any) -> None:
        self._name = named["hospital"].name

    def run(self, content: object, outputs: dict[str, tuple[int, ...]]) -> Any:
        if self._name in self.silent:
            raise DatasiteUnreachable(f"Datasite '{self._name}' cannot be reached.")
        return super().run(content, outputs)


@pytest.mark.parametrize("ask", [statistics, evaluation, gram])
def test_what_a_hospital_released_before_is_kept_where_it_does_not_answer_again(
    hospitals: Any, tmp_path: Path, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "RemoteRound", AskedOfTwo)
    hospitals.hospitals["south"] = SimpleNamespace(**{**vars(hospitals.hospitals["north"]), "name": "south"})
    north = CodeRequest(request_id="r" * 16, function="f", code_id="c")
    both = {"north": north, "south": replace(north, request_id="s" * 16)}

    def submit(plan: Any, named: Any, on_request: Any, on_refusal: Any) -> dict[str, CodeRequest]:
        hospitals.submitted.append(plan)
        for name, sent in both.items():
            on_request(name, sent)
        return both

    hospitals.submit = submit
    hospitals.datasets = lambda: [NORTH, replace(NORTH, datasite="south")]

    def kept(one: Any) -> tuple[set[str], set[str]]:
        of = one if isinstance(one, KeptGram) else one.released
        return set(of.arrays), set(of.epsilon)

    two = {"north", "south"}
    monkeypatch.setattr(AskedOfTwo, "silent", ("south",))
    assert kept(ask(hospitals, tmp_path)) == ({"north"}, {"north"})
    monkeypatch.setattr(AskedOfTwo, "silent", ())
    assert kept(ask(hospitals, tmp_path)) == (two, two)
    monkeypatch.setattr(AskedOfTwo, "silent", ("south",))
    again = ask(hospitals, tmp_path)
    assert kept(again) == (two, two) and len(hospitals.submitted) == 1
    assert isinstance(again, KeptGram) or not again.released.skipped
    monkeypatch.setattr(AskedOfTwo, "silent", ("north", "south"))
    with pytest.raises(NotEnoughDatasites):
        ask(hospitals, tmp_path)
    if isinstance(again, KeptGram):
        assert kept(KeptGram.load(tmp_path)) == (two, two)
    else:
        file = tmp_path / f"{again.plan.kind}.json"
        assert kept(SavedCounts.load(file)) == (two, two)
        file.write_text(file.read_text()[:-9])
        monkeypatch.setattr(AskedOfTwo, "silent", ())
        before = contents(tmp_path)
        with pytest.raises(ConfigError, match="holds no counts as"):
            ask(hospitals, tmp_path)
        assert contents(tmp_path) == before
