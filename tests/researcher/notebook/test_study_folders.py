"""A study's folder: anybody goes on from it, and does it again; what was changed in it is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import CLASSES, draw_pictures
from support.notebooks import AtHome, dataset, faults, federation, words

from policies.errors import ConfigError, FederationError, PlanError, StateVersionMismatch, WanwuError
from policies.plans.plan_json import canonical_json, sha256_text
from researcher.hospitals.credentials import Credentials
from researcher.notebook import federation as notebook_federation
from researcher.notebook import setup as setups
from researcher.notebook import study as notebook_study
from researcher.notebook.setup import SETUP_FILE, Setup
from researcher.notebook.study import Study
from researcher.strategies import ServerState
from researcher.studies.checkpoints import STATE_FILE, save_state
from researcher.studies.history import History, RoundRecord
from researcher.studies.submission import STUDY_FILE

SMALL: dict[str, Any] = {"model": "linear", "num_rounds": 2, "sample_rate": 0.2, "noise_multiplier": 2.0}
SECONDS = {"queue": 0.0, "transfer": 1.0, "train": 2.0, "aggregate": 0.5, "total": 4.0}


@pytest.fixture
def hold_out(tmp_path: Path) -> Path:
    images, labels = draw_pictures(8, seed=3)
    np.savez(tmp_path / "hold_out.npz", images=images, labels=labels, class_names=np.array(CLASSES))
    return tmp_path / "hold_out.npz"


@pytest.fixture
def study(tmp_path: Path, hold_out: Path) -> Study:
    at = federation()
    at.came_from = (str(tmp_path / "*.credentials"),)
    return at.plan(**SMALL).submit(tmp_path / "study", hold_out=hold_out, min_clients=1, seed=7)


def credentials(folder: Path, *names: str) -> None:
    for name in names:
        one = Credentials(name, f"https://{name}.example.org", "me@x.org", "secret-word", "A", "C", "K")
        (folder / f"{name}.credentials").write_text(json.dumps(vars(one)))


def connected(monkeypatch: pytest.MonkeyPatch, at: AtHome) -> list[Any]:
    """What `Federation.connect` is given from now on; it returns `at`."""
    given: list[Any] = []

    def connect(cls: object, credentials: Any, *, enough: int | None, begun: bool) -> AtHome:
        given.extend(credentials)
        return at

    monkeypatch.setattr(notebook_federation.Federation, "connect", classmethod(connect))
    return given


def a_round(number: int = 1) -> RoundRecord:
    return RoundRecord(number, ("north",), 0.75, 0.5, ((3, 1), (1, 3)), SECONDS, 10, 20, {"north": 0.5}, {})


def with_a_round(study: Study) -> None:
    state = ServerState({"w": np.zeros(2, np.float32)}, 1, {})
    save_state(study.folder, state, History([a_round()]), plan_digest=study.plan.digest())


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_the_folder_says_what_the_study_was_begun_with_and_holds_no_secret(study: Study, hold_out: Path) -> None:
    setup = study.setup
    assert setup is not None and (setup.seed, setup.min_clients) == (7, 1)
    assert setup.hold_out == str(hold_out) and len(setup.hold_out_digest) == 64
    assert set(setup.hospitals) == {"north", "south"} and setup.hospitals["south"].schema.public_size == 200
    assert {"torch", "numpy", "python", "wanwu", "opacus"} <= set(setup.packages)
    assert "secret-word" not in "".join(file.read_text() for file in study.folder.iterdir())


def test_another_seed_gives_other_first_weights_and_the_same_gives_the_same(study: Study) -> None:
    assert study.setup is not None
    assert setups.weights_digest(study.plan, 7) == study.setup.first_weights != setups.weights_digest(study.plan, 8)


# --- opening ---------------------------------------------------------------------------------------------------------


def test_a_study_is_opened_with_the_credentials_that_it_was_submitted_with_and_no_others(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(tmp_path, "north", "south", "elsewhere")
    with_a_round(study)
    given = connected(monkeypatch, federation())
    monkeypatch.chdir("/")
    opened = Study.open(study.folder)
    assert [one.datasite for one in given] == ["north", "south"]
    assert opened.requests == study.requests and opened.plan == study.plan and len(opened.history) == 1


@pytest.mark.parametrize(("there", "told"), [((), "not at"), (("north",), "runs at south too")])
def test_credentials_that_are_not_where_they_were_are_asked_for(
    study: Study, tmp_path: Path, there: tuple[str, ...], told: str
) -> None:
    credentials(tmp_path, *there)
    with pytest.raises(ConfigError, match=told) as refused:
        Study.open(study.folder)
    assert "Study.open(folder, credentials=...)" in refused.value.public


def test_a_folder_without_a_setup_is_opened_with_given_credentials(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study.folder / SETUP_FILE).unlink()
    with pytest.raises(ConfigError, match="does not say which credentials"):
        Study.open(study.folder)
    credentials(tmp_path, "north", "south")
    connected(monkeypatch, federation())
    assert Study.open(study.folder, tmp_path / "*.credentials").setup is None


def _later_version(folder: Path) -> None:
    file = folder / SETUP_FILE
    file.write_text(file.read_text().replace('"version": 1', '"version": 99'))


def _other_seed(folder: Path) -> None:
    file = folder / SETUP_FILE
    file.write_text(file.read_text().replace('"seed": 7', '"seed": 8'))


def _other_plan(folder: Path) -> None:
    file = folder / STUDY_FILE
    file.write_text(file.read_text().replace('\\"rounds\\":2', '\\"rounds\\":3'))


def _no_plan(folder: Path) -> None:
    (folder / STUDY_FILE).write_text(json.dumps({"plan": "{}", "requests": {}}))


def _cut_plan(folder: Path) -> None:
    (folder / STUDY_FILE).write_text((folder / STUDY_FILE).read_text()[:-9])


def _cut_setup(folder: Path) -> None:
    (folder / SETUP_FILE).write_text((folder / SETUP_FILE).read_text()[:-9])


def _endless_number(folder: Path) -> None:
    file = folder / SETUP_FILE
    file.write_text(file.read_text().replace('"seed": 7', '"seed": NaN'))


def _wrong_kind(folder: Path) -> None:
    values = {"plan_digest": 1}
    kept = {"version": 1, "digest": sha256_text(canonical_json(values)), "setup": values}
    (folder / SETUP_FILE).write_text(json.dumps(kept))


def _other_weights(folder: Path) -> None:
    next(folder.glob("round-*.safetensors")).write_bytes(b"0" * 100)


def _cut_state(folder: Path) -> None:
    (folder / STATE_FILE).write_text((folder / STATE_FILE).read_text()[:-9])


def _nothing(folder: Path) -> None:
    (folder / STUDY_FILE).unlink()


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (_later_version, StateVersionMismatch, "version '?99'?, this program reads version 1"),
        (_other_seed, ConfigError, "was changed after it was written"),
        (_other_plan, ConfigError, "one of the two files was changed"),
        (_no_plan, PlanError, "Expected a plan"),
        (_cut_plan, ConfigError, "was changed or cut"),
        (_cut_setup, ConfigError, "is not JSON"),
        (_endless_number, ConfigError, "was changed"),
        (_wrong_kind, ConfigError, "not a study's setup"),
        (_other_weights, ConfigError, "not the file that was saved"),
        (_cut_state, ConfigError, "must be JSON"),
        (_nothing, ConfigError, "holds no study"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_folder_that_was_changed_is_told_before_anybody_is_asked(
    study: Study, tmp_path: Path, change: Any, error: type[WanwuError], told: str
) -> None:
    credentials(tmp_path, "north", "south")
    with_a_round(study)
    change(study.folder)
    with pytest.raises(error, match=told):
        Study.open(study.folder)


# --- repeating -------------------------------------------------------------------------------------------------------


def test_a_second_person_repeats_a_study_from_its_folder(study: Study, tmp_path: Path) -> None:
    again = federation().repeat(study.folder)
    assert again.differs == ()
    assert "Nothing is known to differ" in words(again._repr_html_()) and not list(faults(again._repr_html_()))
    repeated = again.submit(tmp_path / "again")
    theirs = again.draft.federation
    assert isinstance(theirs, AtHome)
    assert theirs.submitted == [(name, study.plan.digest()) for name in ("north", "south")]
    assert repeated.setup is not None and study.setup is not None
    assert (repeated.setup.seed, repeated.setup.first_weights) == (7, study.setup.first_weights)
    assert repeated.setup.hold_out_digest == study.setup.hold_out_digest
    assert repeated.repeat().differs == ()


def test_what_is_not_the_same_is_told(study: Study, hold_out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_out.write_bytes(b"other")
    here = dict(setups.packages())
    monkeypatch.setattr("researcher.notebook.repetition.packages", lambda: {**here, "torch": "0.1"})
    monkeypatch.setattr("researcher.notebook.repetition.build", lambda: "0" * 64)
    monkeypatch.setattr("researcher.notebook.repetition.weights_digest", lambda plan, seed: "1" * 64)
    at = federation(dataset("north", public_size=250, unit="patient"), dataset("west"))
    at.hospitals["north"].public_key = "1" * 64
    told = "\n".join(at.repeat(study.folder).differs)
    for part in (
        "another build",
        f"torch was {here['torch']} then, it is 0.1 now",
        "Seed 7 gives other first weights",
        "holds other pictures",
        "south took part then and is not connected now",
        "west takes part now and did not then",
        "north signs with another key",
        "north's unit was picture then, it is patient now",
        "north's public size was 300 then, it is 250 now",
    ):
        assert part in told


def test_a_folder_without_a_setup_repeats_its_plan_and_says_so(study: Study) -> None:
    (study.folder / SETUP_FILE).unlink()
    again = federation().repeat(study.folder)
    assert again.setup is None and "only its plan is the same" in again.differs[0]


def test_hospitals_that_publish_another_dataset_repeat_nothing(study: Study) -> None:
    with pytest.raises(FederationError, match="None of these hospitals publishes 'pictures'"):
        federation(dataset("north", name="xrays")).repeat(study.folder)


def test_a_setup_that_is_read_back_is_the_one_that_was_written(study: Study) -> None:
    assert study.setup is not None
    other = replace(study.setup, seed=9, packages={"torch": "1"})
    other.save(study.folder)
    assert Setup.load(study.folder, study.plan) == other


def test_nobody_waits_for_decisions_on_a_study_that_is_done(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: Any, **__: Any) -> None:
        raise AssertionError("a hospital was asked for its decision")

    monkeypatch.setattr(notebook_study, "wait_for_decisions", asked)
    with pytest.raises(AssertionError):
        study.wait()
    state = ServerState({"w": np.ones(2, np.float32)}, 2)
    save_state(study.folder, state, History([a_round(1), a_round(2)]), plan_digest=study.plan.digest())
    assert len(study.wait().history) == 2
