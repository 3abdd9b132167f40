"""Global models and study states read back exactly, or not at all."""

import dataclasses
import json

import numpy as np
import pytest

from policies.errors import ConfigError, FederationError
from policies.plans.picture_form import PictureForm
from policies.plans.training import ModelSpec
from researcher import atomic_file
from researcher.strategies import ClientUpdate, FedAvg, ServerState
from researcher.studies.checkpoints import Checkpoint, load_model, load_state, save_model, save_state
from researcher.studies.history import History, PrivacySpent, RoundRecord

PLAN, OTHER_PLAN = "a" * 64, "b" * 64
SECONDS = {"queue": 0.0, "transfer": 0.0, "train": 1.0, "aggregate": 0.0, "total": 1.0}
MODEL = Checkpoint(
    weights={"w": np.array([[1, 2], [3, 4]], np.float32), "scale": np.array(0.5, np.float32)},
    model=ModelSpec("small_cnn", (32, 32, 3), 2, {"width": 16, "activation": "tanh"}),
    round=5,
    class_names=("red", "white"),
    plan_digest=PLAN,
    privacy={"a": PrivacySpent(2.5, 1e-5, "picture"), "b": None},
)


def history(rounds: int) -> History:
    return History([RoundRecord(r, ("a",), 0.5, 0.5, ((1, 0), (0, 1)), SECONDS, 1, 2) for r in range(1, rounds + 1)])


def state(rounds: int) -> ServerState:
    weights = {"w": np.full(3, rounds, np.float32), "deep/name": np.ones((2, 2), np.float32)}
    return ServerState(weights, rounds, {"momentum": {"w": np.full(3, -rounds, np.float32)}})


def equal(left, right):
    return left.keys() == right.keys() and all(
        np.array_equal(left[name], right[name]) and left[name].dtype == right[name].dtype for name in left
    )


def test_a_global_model_says_how_files_become_its_pictures(tmp_path):
    form = PictureForm((32, 32), 3, "fit", bits=12)
    path = save_model(tmp_path / "model.safetensors", dataclasses.replace(MODEL, form=form))
    assert load_model(path).form == form
    assert load_model(save_model(tmp_path / "arrays.safetensors", MODEL)).form is None
    assert "form" not in json.loads((tmp_path / "arrays.json").read_text())
    sidecar = json.loads(path.with_suffix(".json").read_text())
    sidecar["form"]["resize"] = "squeeze"
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    with pytest.raises(ConfigError, match="not the sidecar"):
        load_model(path)


def test_a_global_model_reads_back_equal(tmp_path):
    path = save_model(tmp_path / "out" / "model.safetensors", MODEL)
    loaded = load_model(path)
    assert equal(loaded.weights, MODEL.weights)
    assert dataclasses.replace(loaded, weights={}) == dataclasses.replace(MODEL, weights={})
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.json", "model.safetensors"]


def test_a_model_of_findings_stays_one_and_the_file_of_a_model_of_classes_is_as_it_was(tmp_path):
    findings = dataclasses.replace(MODEL, model=dataclasses.replace(MODEL.model, label_kind="multi"))
    assert load_model(save_model(tmp_path / "f.safetensors", findings)).model.label_kind == "multi"
    about = json.loads(save_model(tmp_path / "c.safetensors", MODEL).with_suffix(".json").read_text())
    assert about["model"] == {
        "name": "small_cnn",
        "image_shape": [32, 32, 3],
        "num_classes": 2,
        "options": {"activation": "tanh", "width": 16},
    }


def test_a_view_is_saved_as_what_it_shows(tmp_path):
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    path = save_model(tmp_path / "m.safetensors", dataclasses.replace(MODEL, weights={"w": turned}))
    assert load_model(path).weights["w"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_changed_byte_is_noticed(tmp_path):
    path = save_model(tmp_path / "model.safetensors", MODEL)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="SHA-256"):
        load_model(path)


def test_the_sidecar_of_another_model_is_noticed(tmp_path):
    one = save_model(tmp_path / "one.safetensors", MODEL)
    other = save_model(tmp_path / "two.safetensors", dataclasses.replace(MODEL, weights={"v": np.ones(1)}))
    other.with_suffix(".json").replace(one.with_suffix(".json"))
    with pytest.raises(ConfigError):
        load_model(one)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("model", {"name": "small_cnn"}),
        ("model", {"name": "small_cnn", "image_shape": [0, 1, 1], "num_classes": 2}),
        ("privacy", {"a": {"epsilon": 1}}),
        ("weights", {}),
        ("class_names", None),
    ],
)
def test_a_malformed_sidecar_is_refused(tmp_path, field, value):
    path = save_model(tmp_path / "model.safetensors", MODEL)
    about = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(about | {field: value}))
    with pytest.raises(ConfigError):
        load_model(path)


def test_other_names_or_shapes_than_announced_are_refused(tmp_path):
    path = save_model(tmp_path / "model.safetensors", MODEL)
    about = json.loads(path.with_suffix(".json").read_text())
    about["weights"]["parameters"]["w"] = [4]
    path.with_suffix(".json").write_text(json.dumps(about))
    with pytest.raises(ConfigError, match="names and shapes"):
        load_model(path)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    path = save_model(tmp_path / "m.safetensors", dataclasses.replace(MODEL, weights={"w": np.array([np.nan])}))
    with pytest.raises(ConfigError, match="finite"):
        load_model(path)


def test_missing_files_and_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"model\.safetensors cannot be read"):
        load_model(tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match=r"\.safetensors"):
        save_model(tmp_path / "model.pt", MODEL)


def test_a_study_resumes_where_it_was(tmp_path):
    folder = tmp_path / "study"
    assert load_state(folder, plan_digest=PLAN) is None
    for rounds in (1, 2):
        save_state(folder, state(rounds), history(rounds), plan_digest=PLAN)
    loaded, past = load_state(folder, plan_digest=PLAN)
    assert (loaded.round, past) == (2, history(2))
    assert equal(loaded.weights, state(2).weights)
    assert equal(loaded.slots["momentum"], state(2).slots["momentum"])
    assert len(list(folder.iterdir())) == 2


def test_a_resumed_study_ends_with_the_same_weights(tmp_path):
    strategy = FedAvg(server_momentum=0.9)
    updates = [ClientUpdate("a", {"w": np.array([k, 1 / (k + 1)], np.float32)}, 3.0) for k in range(4)]
    straight = strategy.init({"w": np.zeros(2)})
    for update in updates:
        straight = strategy.apply(straight, [update])
    resumed = strategy.init({"w": np.zeros(2)})
    for number, update in enumerate(updates):
        resumed = strategy.apply(resumed, [update])
        save_state(tmp_path, resumed, history(number + 1), plan_digest=PLAN)
        resumed, _ = load_state(tmp_path, plan_digest=PLAN)
    assert equal(resumed.weights, straight.weights)


def test_another_plans_study_is_not_resumed(tmp_path):
    save_state(tmp_path, state(1), history(1), plan_digest=PLAN)
    with pytest.raises(ConfigError, match="another plan"):
        load_state(tmp_path, plan_digest=OTHER_PLAN)


def test_a_crash_between_the_files_leaves_the_round_before(tmp_path, monkeypatch):
    save_state(tmp_path, state(1), history(1), plan_digest=PLAN)
    write = atomic_file.write

    def crash_at_the_json(path, content):
        if path.suffix == ".json":
            raise KeyboardInterrupt
        return write(path, content)

    monkeypatch.setattr(atomic_file, "write", crash_at_the_json)
    with pytest.raises(KeyboardInterrupt):
        save_state(tmp_path, state(2), history(2), plan_digest=PLAN)
    monkeypatch.undo()
    loaded, past = load_state(tmp_path, plan_digest=PLAN)
    assert (loaded.round, len(past)) == (1, 1)
    save_state(tmp_path, state(2), history(2), plan_digest=PLAN)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_state_and_a_history_of_different_length_are_not_saved(tmp_path):
    with pytest.raises(FederationError, match="2 rounds"):
        save_state(tmp_path, state(2), history(1), plan_digest=PLAN)


@pytest.mark.parametrize(
    ("field", "value"),
    [("weights", None), ("history", {}), ("round", "x"), ("round", 2), ("version", 9)],
)
def test_a_malformed_state_is_refused(tmp_path, field, value):
    save_state(tmp_path, state(1), history(1), plan_digest=PLAN)
    about = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps(about | {field: value}))
    with pytest.raises(ConfigError):
        load_state(tmp_path, plan_digest=PLAN)


def test_a_file_outside_the_folder_is_never_read(tmp_path):
    save_state(tmp_path / "study", state(1), history(1), plan_digest=PLAN)
    about = json.loads((tmp_path / "study" / "state.json").read_text())
    inside = tmp_path / "study" / about["weights"]["file"]
    inside.rename(tmp_path / inside.name)
    about["weights"]["file"] = f"../{inside.name}"
    (tmp_path / "study" / "state.json").write_text(json.dumps(about))
    with pytest.raises(ConfigError, match="no path"):
        load_state(tmp_path / "study", plan_digest=PLAN)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ConfigError, match="cannot be written"):
        save_model(tmp_path / "taken" / "model.safetensors", MODEL)
