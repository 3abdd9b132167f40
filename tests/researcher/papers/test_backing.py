"""Receipts stand behind a model's file, or do not: any figure that differs is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support.signed_studies import (
    GRAM,
    PLAN,
    SEEDS,
    kept_gram,
    signed,
    signed_gram,
    write_few_rounds,
    write_receipt,
    write_study,
)

from policies.answers import rounded
from policies.budget.accountant import epsilon_spent
from policies.errors import ConfigError, EvidenceRefused, ModelRefused, ReceiptInvalid
from researcher.cli.program import main
from researcher.exports.global_model import GlobalModel
from researcher.papers.backing import MATRIX_SHOWN, NOT_BOUND, NOT_SHOWN, check_backing
from researcher.papers.kept_receipts import grams_alone, read_receipts, receipt_files
from researcher.papers.model_file import ModelFile, read_model_file
from researcher.papers.study_record import check_matrix, read_backed

MODEL = "global_model.safetensors"
SMEARS = replace(PLAN, dataset="smears")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study")


def check(study: Path) -> None:
    receipts = read_receipts(study)
    check_backing(read_model_file(study / MODEL), receipts, grams_alone(study, receipts))


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


def test_the_receipts_of_the_hospitals_that_trained_it_stand_behind_a_model(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(study)
    assert main(["receipt", "verify-model", str(study / MODEL), "--out", str(study)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    receipt = read_receipts(study)[0].receipt
    assert f"north: 2 rounds, epsilon {rounded.cost(receipt.epsilon)} at delta 1e-5 per patient" in told
    assert "in 100 patients who did" in told and NOT_SHOWN in told


@pytest.mark.parametrize("rounds", [1, 2])
def test_odds_are_told_once_for_all_hospitals_at_which_they_are_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rounds: int
) -> None:
    study = write_study(tmp_path / "study")
    east = signed("east", PLAN, rounds)
    write_receipt(study, east)
    private = {"epsilon": east.epsilon, "delta": east.delta, "unit": "patient"}
    edit((study / MODEL).with_suffix(".json"), lambda of: of["privacy"].update(east=private))
    assert main(["receipt", "verify-model", str(study / MODEL), "--out", str(study)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    east_odds, north_odds, _ = (" ".join(text.text for text in one.as_odds()) for one in read_receipts(study))
    if rounds == 2:
        assert told.count("Whoever sees all that is released") == 1 and east_odds == north_odds
        assert f"At each of these 3 hospitals, by what it released: {north_odds} The receipts" in told
        return
    assert told.count("Whoever sees all that is released") == 2 and east_odds != north_odds
    assert f". {east_odds} north: 2 rounds" in told
    assert f"At each of north, south, by what it released: {north_odds} The receipts" in told


def test_a_hospital_that_trained_in_no_round_is_said_to_have_released_nothing_and_has_no_odds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(tmp_path / "study")
    write_receipt(study, signed("east", PLAN, 0))
    assert main(["receipt", "verify-model", str(study / MODEL), "--out", str(study)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "east: no round, so it released nothing here; signed with the key" in told
    assert "At each of these 2 hospitals, by what it released: Whoever sees" in told and told.count("Whoever") == 1


def test_a_study_without_differential_privacy_is_said_to_promise_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(tmp_path / "open", replace(PLAN, privacy=None))
    assert main(["receipt", "verify-model", str(study / MODEL), "--out", str(study)]) == 0
    assert "nothing bounds what the releases tell" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda one: one["privacy"]["north"].update(epsilon=0.5), "at north the model states epsilon 0.5000"),
        (lambda one: one["privacy"]["north"].update(delta=1e-6), "at delta 1e-6"),
        (lambda one: one["privacy"]["south"].update(unit="picture"), "per picture"),
        (lambda one: one["privacy"].pop("south"), "the same hospitals as private: south"),
        (lambda one: one["privacy"].update(south=None), "the same hospitals as private: south"),
        (lambda one: one["privacy"].update(east=None), "without differential privacy somewhere"),
        (lambda one: one.update(round=3), "charge none after round 2"),
        (lambda one: one.update(plan_digest="0" * 64), "none is of the plan"),
    ],
)
def test_a_sidecar_that_states_something_else_is_refused(
    study: Path, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    edit((study / MODEL).with_suffix(".json"), change)
    with pytest.raises(ReceiptInvalid, match=told):
        check(study)


@pytest.mark.parametrize("at", [0, 90, -2])
def test_a_changed_byte_of_model_receipt_or_key_is_refused(study: Path, at: int) -> None:
    for file in (study / MODEL, study / "receipts/north.receipt.json", study / "receipts/south.key"):
        before = file.read_bytes()
        content = bytearray(before)
        content[min(at, len(content) - 3)] ^= 1
        file.write_bytes(bytes(content))
        with pytest.raises((ReceiptInvalid, ConfigError)):
            check(study)
        file.write_bytes(before)
    check(study)


def test_receipts_of_another_study_another_plan_or_fewer_rounds_are_refused(study: Path) -> None:
    for other, told in (
        (signed("north", replace(PLAN, study="other")), "of several plans"),
        (signed("north", replace(PLAN, learning_rate=0.25)), "of several plans"),
        (signed("north", PLAN, 1), "the model states epsilon"),
    ):
        write_receipt(study, other)
        with pytest.raises(ReceiptInvalid, match=told):
            check(study)


def test_a_round_that_was_charged_and_gave_no_update_may_be_known_to_the_receipt_alone(study: Path) -> None:
    nothing = sha256(b"").hexdigest()
    longer, both = signed("south", SMEARS, 3), signed("south", SMEARS)
    write_receipt(study, replace(longer, rounds=(*longer.rounds[:2], replace(longer.rounds[2], update_digest=nothing))))
    check(study)
    check_backing(exported(study), read_receipts(study))
    write_receipt(study, longer)
    with pytest.raises(ReceiptInvalid, match="at south the model states"):
        check(study)
    write_receipt(study, replace(both, rounds=tuple(replace(one, update_digest=nothing) for one in both.rounds)))
    check(study)
    edit((study / MODEL).with_suffix(".json"), lambda one: one["privacy"].pop("south"))
    check(study)
    check_backing(exported(study), read_receipts(study))


def test_a_hospital_has_one_receipt_and_its_own_key(study: Path) -> None:
    write_receipt(study, signed("north"), SEEDS["south"])
    check(study)  # whose key it is, only the hospital can say
    (study / "receipts/again.receipt.json").write_bytes((study / "receipts/north.receipt.json").read_bytes())
    (study / "receipts/again.key").write_bytes((study / "receipts/north.key").read_bytes())
    with pytest.raises(ReceiptInvalid, match="Two receipts are of north"):
        check(study)


def test_what_is_missing_or_no_model_is_named(study: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="researcher receipts"):
        read_receipts(tmp_path)
    (study / "studies/all").mkdir(parents=True)  # as the demo has them
    with pytest.raises(ConfigError, match=f"They lie in {re.escape(str(study))}, with the model"):
        read_receipts(study / "studies/all")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_model_file(tmp_path / MODEL)
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(ModelRefused, match="neither"):
        read_model_file(tmp_path / "model.pt")


def exported(study: Path, **changes: object) -> ModelFile:
    """As an exported file of the study's model would state it."""
    weights, receipts = read_model_file(study / MODEL), read_receipts(study)
    costs = {str(at): cost for at, cost in enumerate(weights.costs.values(), 1)}
    gram = {str(at): digest for at, digest in enumerate(sorted(weights.gram.values()), 1)}
    found = replace(weights, form="onnx", costs=costs, receipts=tuple(one.sha256 for one in receipts), gram=gram)
    return replace(found, **changes)  # type: ignore[arg-type]


def test_an_exported_model_names_no_hospital_and_is_held_against_all_receipts(study: Path) -> None:
    receipts = read_receipts(study)
    check_backing(exported(study), receipts)
    costs = exported(study).costs
    for changes, told in (
        ({"receipts": (receipts[0].sha256,)}, "exported with others"),
        ({"receipts": ()}, "exported with others"),
        ({"costs": {"1": costs["1"]}}, "at 1 hospitals, they do at 2"),
        ({"costs": {**costs, "2": replace(costs["2"], epsilon=0.25)}}, "at a hospital the model states"),
        ({"without_privacy": 1}, "without differential privacy somewhere"),
    ):
        with pytest.raises(ReceiptInvalid, match=told):
            check_backing(exported(study, **changes), receipts)


# --- a study that steps by a Gram matrix: two requests at each hospital ----------------------------------------------


@pytest.fixture
def few_rounds(tmp_path: Path) -> Path:
    return write_few_rounds(tmp_path / "few")


def test_a_model_by_a_gram_matrix_states_what_both_requests_cost_together(
    few_rounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(few_rounds)
    north, south = read_receipts(few_rounds)
    assert north.gram is not None and north.receipt.epsilon is not None and north.epsilon is not None
    assert north.epsilon > max(north.receipt.epsilon, epsilon_spent(north.gram.receipt.spend, 1e-5))
    assert north.epsilon == epsilon_spent((*north.receipt.spend, *north.gram.receipt.spend), 1e-5) == south.epsilon
    (west,) = grams_alone(few_rounds, (north, south))
    assert main(["receipt", "verify-model", str(few_rounds / MODEL), "--out", str(few_rounds)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"north: 2 rounds, epsilon {rounded.cost(north.epsilon)} at delta 1e-5 per patient, its Gram matrix" in told
    assert (
        f"west: its Gram matrix alone, epsilon {rounded.cost(west.receipt.epsilon)} at delta 1e-6 per patient" in told
    )
    for one in (north, south):
        edit(
            (few_rounds / MODEL).with_suffix(".json"),
            lambda of, one=one: of["privacy"][one.hospital].update(epsilon=one.receipt.epsilon),
        )
        with pytest.raises(ReceiptInvalid, match=f"at {one.hospital} the model states epsilon"):
            check(few_rounds)
        write_few_rounds(few_rounds)


def test_an_exported_model_by_a_gram_matrix_names_its_receipts_too(few_rounds: Path) -> None:
    receipts = read_receipts(few_rounds)
    alone = grams_alone(few_rounds, receipts)
    every = tuple(sha256(one.read_bytes()).hexdigest() for one in receipt_files(few_rounds))
    assert len(every) == 5
    check_backing(exported(few_rounds, receipts=every), receipts, alone)
    with pytest.raises(ReceiptInvalid, match="exported with others"):
        check_backing(exported(few_rounds), receipts, alone)


CHEAPER = replace(GRAM, privacy=replace(GRAM.privacy, noise_multiplier=40.0))


def test_a_genuine_receipt_of_another_matrix_of_the_same_features_is_told_apart(
    few_rounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["receipt", "verify-model", str(few_rounds / MODEL), "--out", str(few_rounds)]
    assert main(given) == 0
    assert MATRIX_SHOWN in " ".join(capsys.readouterr().out.split())
    file = write_receipt(few_rounds, signed_gram("north", CHEAPER), folder="gram_receipts")
    (cheap, _) = receipts = read_receipts(few_rounds)
    sidecar = (few_rounds / MODEL).with_suffix(".json")
    edit(sidecar, lambda of: of["privacy"]["north"].update(epsilon=cheap.epsilon))
    with pytest.raises(ReceiptInvalid, match=r"a Gram matrix of north, SHA-256 .* that they do not charge"):
        check(few_rounds)
    # A file that names no matrix is still held against the one that the folder keeps, by its digests or its arrays.
    edit(sidecar, lambda of: of.pop("gram"))
    with pytest.raises(ReceiptInvalid, match=r"of Wanwu 0\.3 or later and names no Gram matrix"):
        check(few_rounds)
    edit(sidecar, lambda of: of.pop("written_by"))
    old = read_model_file(few_rounds / MODEL)
    check(few_rounds)
    for _ in ("arrays", "digests"):
        with pytest.raises(EvidenceRefused, match="holds another Gram matrix of north"):
            check_matrix(few_rounds, receipts, grams_alone(few_rounds, receipts), old)
        for arrays in few_rounds.glob("gram-*.safetensors"):
            arrays.unlink()
    kept_gram(["south", "west"]).save(few_rounds)
    assert main(given) == 0
    assert NOT_BOUND in " ".join(capsys.readouterr().out.split())
    kept_gram(["north"]).save(few_rounds)
    verify = ["receipt", "verify", str(file), "--key", str(file.with_name("north.key")), "--gram", str(few_rounds)]
    assert main(verify) == 1
    assert "does not charge the Gram matrix of north" in " ".join(capsys.readouterr().err.split())
    write_receipt(few_rounds, signed_gram("north"), folder="gram_receipts")
    assert main(verify) == 0
    assert f"SHA-256 {kept_gram(['north']).digests['north']}" in " ".join(capsys.readouterr().out.split())


def test_an_exported_model_names_its_matrices_without_the_hospitals(few_rounds: Path) -> None:
    receipts = read_receipts(few_rounds)
    alone = grams_alone(few_rounds, receipts)
    every = tuple(sha256(one.read_bytes()).hexdigest() for one in receipt_files(few_rounds))
    gram = exported(few_rounds).gram
    assert len(gram) == 3
    for changed, told in (
        ({**gram, "2": gram["1"]}, "a Gram matrix, SHA-256"),
        ({**gram, "3": "0" * 64}, "a Gram matrix, SHA-256"),
        ({"1": gram["1"], "2": gram["2"]}, "that its file does not name"),
        ({}, "names no Gram matrix"),
    ):
        with pytest.raises(ReceiptInvalid, match=told):
            check_backing(exported(few_rounds, receipts=every, gram=changed), receipts, alone)
    check_backing(exported(few_rounds, receipts=every, gram={}, before_digests=True), receipts, alone)


@pytest.mark.parametrize("named", [["north", "west"], ["north", "south"], ["west"]])
def test_a_file_that_names_the_matrices_of_some_hospitals_alone_is_refused(few_rounds: Path, named: list[str]) -> None:
    write_receipt(few_rounds, signed_gram("south", replace(CHEAPER, dataset="smears")), folder="gram_receipts")
    south = read_receipts(few_rounds)[1]
    sidecar = (few_rounds / MODEL).with_suffix(".json")
    edit(sidecar, lambda of: of["privacy"]["south"].update(epsilon=south.epsilon))
    edit(sidecar, lambda of: of.update(gram={name: of["gram"][name] for name in named}))
    (few_rounds / "gram.json").unlink()
    with pytest.raises(ReceiptInvalid, match=r"Gram matrix of (north|south), SHA-256"):
        check(few_rounds)


def test_a_hospital_whose_matrix_never_left_need_not_be_named(few_rounds: Path) -> None:
    gram = signed_gram("west")
    nothing = replace(gram.rounds[0], update_digest=sha256(b"").hexdigest())
    write_receipt(few_rounds, replace(gram, rounds=(nothing,)), folder="gram_receipts")
    edit((few_rounds / MODEL).with_suffix(".json"), lambda of: of["gram"].pop("west"))
    check(few_rounds)


@pytest.mark.parametrize("written_by", ["", "wanwu 0.2.0"])
def test_a_model_from_before_0_3_is_known_by_its_own_record(few_rounds: Path, written_by: str) -> None:
    sidecar = (few_rounds / MODEL).with_suffix(".json")
    assert not read_model_file(few_rounds / MODEL).before_digests
    edit(sidecar, lambda of: of.update(written_by=written_by))
    assert read_model_file(few_rounds / MODEL).before_digests
    for other in ("wanwu 0.3.0", "wanwu 1.0.0", "wanwu 0.2x", "another program"):
        edit(sidecar, lambda of, other=other: of.update(written_by=other))
        assert read_model_file(few_rounds / MODEL).before_digests is (other == "wanwu 0.2x")


@pytest.mark.parametrize("old", [False, True])
def test_weights_from_before_0_3_are_exported_as_such_where_receipts_of_a_matrix_lie_beside(
    few_rounds: Path, old: bool
) -> None:
    sidecar = (few_rounds / MODEL).with_suffix(".json")
    if old:
        edit(sidecar, lambda of: (of.pop("gram"), of.pop("written_by")))
    about = GlobalModel.load(few_rounds / MODEL).about("onnx")
    assert (about.gram_unnamed, len(about.gram)) == (old, 0 if old else 3)
    assert ("wanwu.gram_unnamed" in about.to_properties()) is old


@pytest.mark.parametrize(
    "change",
    [
        lambda of: of["arrays"].update(file="a" * 5000),
        lambda of: of["arrays"].update(file="receipts"),
        lambda of: of["arrays"].update(file="../few/gram.json"),
        lambda of: of["arrays"].update(file="a\0b"),
        lambda of: of.pop("arrays"),
        lambda of: of["digests"].pop("south"),
        lambda of: of.update(digests={}),
        lambda of: of.update(datasites=[]),
    ],
    ids=["long", "a folder", "elsewhere", "NUL", "no arrays", "one digest less", "no digest", "no hospital"],
)
def test_a_folders_matrix_that_names_no_file_of_arrays_or_other_hospitals_is_refused(
    few_rounds: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    edit(few_rounds / "gram.json", change)
    with pytest.raises(EvidenceRefused, match="was changed or cut"):
        read_backed(few_rounds, few_rounds / MODEL)


def test_a_folder_without_arrays_and_digests_holds_by_what_the_models_file_names(
    few_rounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(few_rounds / "gram.json", lambda of: of.pop("digests"))
    for arrays in few_rounds.glob("gram-*.safetensors"):
        arrays.unlink()
    model, receipts, alone = read_backed(few_rounds, few_rounds / MODEL)
    with pytest.raises(EvidenceRefused, match="does not name the Gram matrix of north"):
        check_matrix(few_rounds, receipts, alone, replace(model, gram={}))
    edit((few_rounds / MODEL).with_suffix(".json"), lambda of: (of.pop("gram"), of.pop("written_by")))
    assert main(["evidence", str(few_rounds), "--out", str(tmp_path / "pack")]) == 0
    capsys.readouterr()
    assert main(["evidence", "--check", str(tmp_path / "pack")]) == 0
    assert NOT_BOUND in " ".join(capsys.readouterr().out.split())


def test_a_matrix_of_release_0_2_without_digests_is_held_against_its_receipts_by_its_arrays(few_rounds: Path) -> None:
    edit(few_rounds / "gram.json", lambda of: of.pop("digests"))
    receipts = read_receipts(few_rounds)
    alone = grams_alone(few_rounds, receipts)
    model = read_model_file(few_rounds / MODEL)
    check_matrix(few_rounds, receipts, alone, model)
    write_receipt(few_rounds, signed_gram("west", CHEAPER), folder="gram_receipts")
    with pytest.raises(EvidenceRefused, match="holds another Gram matrix of west"):
        check_matrix(few_rounds, receipts, grams_alone(few_rounds, receipts), model)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"plan": replace(GRAM, privacy=replace(GRAM.privacy, unit="picture"))}, "counts by picture"),
        ({"plan": replace(GRAM, model=replace(GRAM.model, image_shape=(32, 32, 3)))}, "is not of a Gram matrix of the"),
        ({"plan": PLAN}, "is not of a Gram matrix"),
        ({"seed": SEEDS["south"]}, "another key"),
    ],
)
def test_receipts_of_another_matrix_are_refused(few_rounds: Path, change: dict[str, Any], told: str) -> None:
    plan, seed = change.get("plan", GRAM), change.get("seed")
    other = signed("north", plan) if plan is PLAN else signed_gram("north", plan)
    write_receipt(few_rounds, other, seed, folder="gram_receipts")
    with pytest.raises(ReceiptInvalid, match=told):
        read_receipts(few_rounds)


def test_a_study_by_a_gram_matrix_without_its_receipts_is_refused(few_rounds: Path) -> None:
    for file in (few_rounds / "gram_receipts").iterdir():
        file.unlink()
    with pytest.raises(ConfigError, match="holds no receipt of it"):
        read_receipts(few_rounds)


def test_a_receipt_from_before_the_matrix_left_does_not_stand_for_its_cost(
    few_rounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_receipt(few_rounds, signed_gram("north", rounds=(), epsilon=0.0), folder="gram_receipts")
    (north, south) = read_receipts(few_rounds)
    assert not north.names_gram and south.names_gram and north.epsilon == north.receipt.epsilon
    edit(
        (few_rounds / MODEL).with_suffix(".json"),
        lambda of: (of["privacy"]["north"].update(epsilon=north.receipt.epsilon), of.pop("gram"), of.pop("written_by")),
    )
    given = ["receipt", "verify-model", str(few_rounds / MODEL), "--out", str(few_rounds)]
    assert main(given) == 1
    assert "holds the Gram matrix of north" in " ".join(capsys.readouterr().err.split())
    (few_rounds / "gram.json").unlink()  # nobody can know then, and so it is told
    assert main(given) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "per patient, and no receipt of a Gram matrix that left it; signed" in told
    assert told.count("its Gram matrix included") == 1
