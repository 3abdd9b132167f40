"""The history of a study survives disk and refuses what is no history."""

import dataclasses
import json

import pytest

from policies.errors import ConfigError, FederationError
from researcher.studies.history import History, RoundRecord

SECONDS = {"queue": 0.5, "transfer": 1.0, "train": 20.0, "aggregate": 0.1, "total": 22.0}


def record(number: int, **changes) -> RoundRecord:
    values = {
        "round": number,
        "datasites": ("a", "b"),
        "test_accuracy": 0.75,
        "macro_f1": 0.5,
        "confusion": [[3, 1], [1, 3]],
        "seconds": SECONDS,
        "bytes_up": 100,
        "bytes_down": 200,
        "epsilon": {"a": 0.5 * number, "b": 0.25 * number},
        "skipped": {"c": "RunFailed: the run failed."},
    }
    return RoundRecord(**(values | changes))


def test_a_history_reads_back_equal():
    history = History([record(1), record(2)])
    assert History.from_json(history.to_json()) == history


def test_late_updates_read_back_and_a_round_without_them_has_the_text_it_always_had():
    late = record(2, staleness={"c": 1}, under_way={"d": 2})
    history = History([record(1), late])
    assert History.from_json(history.to_json()) == history
    assert not {"staleness", "under_way"} & set(record(1).to_dict())


def test_a_saved_history_goes_on(tmp_path):
    path = tmp_path / "study" / "history.json"
    History([record(1)]).save(path)
    resumed = History.load(path)
    resumed.append(record(2))
    resumed.save(path)
    assert [r.round for r in History.load(path).records] == [1, 2]
    assert [file.name for file in path.parent.iterdir()] == ["history.json"]


def test_no_file_is_a_study_that_has_not_begun(tmp_path):
    assert len(History.load(tmp_path / "history.json")) == 0


@pytest.mark.parametrize("number", [0, 1, 3])
def test_rounds_come_one_after_the_other(number):
    history = History([record(1)])
    with pytest.raises(FederationError, match="Expected round 2"):
        history.append(record(number))
    assert len(history) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": {"total": 1.0}},
        {"test_accuracy": float("nan")},
        {"epsilon": {"a": float("inf")}},
        {"datasites": (), "skipped": {}},
    ],
)
def test_a_record_without_sense_is_refused(changes):
    with pytest.raises(FederationError):
        record(1, **changes)


def test_a_round_that_was_given_up_is_a_round_without_datasites():
    history = History([record(1), record(2, datasites=())])
    assert History.from_json(history.to_json()) == history


def test_a_record_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        record(1).test_accuracy = 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2, "rounds": []}',
        '{"version": 1, "rounds": [{}]}',
        '{"version": 1, "rounds": [{"round": 1}]}',
    ],
)
def test_what_is_no_history_is_refused(tmp_path, text):
    path = tmp_path / "history.json"
    path.write_text(text)
    with pytest.raises(ConfigError):
        History.load(path)


def test_a_history_with_a_round_cut_out_is_refused():
    values = json.loads(History([record(1), record(2), record(3)]).to_json())
    del values["rounds"][1]
    with pytest.raises(ConfigError, match="Expected round 2"):
        History.from_json(json.dumps(values))
