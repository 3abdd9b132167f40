"""A study report on a hospital's own books, store and hold-out: what it scores, what it suppresses, what it refuses."""

from __future__ import annotations

import csv
import json
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.books import ACCOUNT, approve
from support.hospitals import draw_pictures

from datasites.approvals.approvals import Approvals
from datasites.assets.store import open_store
from datasites.cli.program import main
from datasites.config import DatasiteConfig
from datasites.files.blob import blob_file
from datasites.files.state_folder import StateFolder
from datasites.prepare import write_config
from datasites.runs.blobs import BlobLimits, BlobStore
from datasites.runs.queue import RunQueue
from datasites.state.backup import back_up
from datasites.state.kept_books import open_ledger
from datasites.study_report.groups import LEAST_IN_A_CELL
from datasites.study_report.kept_reports import KeptReports
from datasites.study_report.page import write_page
from datasites.study_report.study_report import StudyReport, make_report
from datasites.study_report.told import heads, in_words
from datasites.training.models import initial_weights
from policies.contracts.weights import canonical_bytes
from policies.errors import ConfigError, DataError
from policies.plans.plan_json import canonical_json
from policies.plans.training import ModelSpec, PrivacySpec, ServerSpec, TrainingPlan

SPEC = ModelSpec("linear", (16, 16, 1), 2)
PLAN = TrainingPlan("one", "pictures", SPEC, 4, 1, 0.1, 0.5, privacy=PrivacySpec(2.0, 1.0, 1e-5))


def brightness(weights: dict[str, np.ndarray], step: float) -> dict[str, np.ndarray]:
    """An update of a linear model towards telling bright pictures from dark ones."""
    signs = np.array([-1.0, 1.0], np.float32)[:, None]
    return {
        name: np.broadcast_to(step * signs, values.shape).astype(np.float32)
        if values.ndim == 2
        else -0.5 * step * signs[:, 0] * 256
        for name, values in weights.items()
    }


@pytest.fixture
def released(state: StateFolder) -> StateFolder:
    """The state of study one, of whose first two rounds weights and updates are kept."""
    shapes = {name: values.shape for name, values in initial_weights(SPEC, 0).items()}
    approvals = Approvals(state.approvals)
    known = approvals.of_request("one")
    assert known
    both = canonical_json({"inputs": shapes, "outputs": shapes})
    approvals.record(replace(known, plan=PLAN.to_json(), shapes=both))
    approvals.close()
    blobs = BlobStore(state.blobs, limits=BlobLimits(max_bytes=1 << 20))
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    with closing(sqlite3.connect(state.runs)) as queue, queue:
        for number in (0, 1):
            update = brightness(weights, 0.2 + number)
            kept = (blobs.put(ACCOUNT, canonical_bytes(one)) for one in (weights, update))
            queue.execute("UPDATE runs SET weights=?, update_digest=? WHERE round=?", (*kept, number))
            weights = {name: weights[name] - 0.01 * update[name] for name in weights}  # what others made of it
    return state


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A hold-out of 60 pictures with a subgroup of 50, one of 8, and two that are in none."""
    folder = tmp_path / "hold-out"
    folder.mkdir()
    images, labels = draw_pictures(60, 99)
    rows = []
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image[..., 0]).save(folder / f"{number}.png")
        rows.append(
            (f"{number}.png", ("dark", "bright")[label], "many" if number < 50 else "few" if number < 58 else "")
        )
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "scanner"), *rows])
    return folder / "table.csv"


def test_it_scores_the_local_and_the_global_model_and_small_cells_say_nothing(
    released: StateFolder, table: Path
) -> None:
    before = open_ledger(released).head()
    report = make_report(released, "one", table, ("scanner",))
    rows = {(row.kind, row.name): row for row in report.rows}
    assert set(rows) == {
        ("all", ""), ("class", "dark"), ("class", "bright"), ("scanner", "many"), ("scanner", "few"),
        ("scanner", "(empty)"),
    }  # fmt: skip
    whole = rows["all", ""]
    assert whole.count == 60 and whole.local_score is not None and whole.global_score is not None
    assert whole.local_score > 0.9 > whole.global_score
    for name in ("few", "(empty)"):
        row = rows["scanner", name]
        assert (row.count, row.local_score, row.global_score) == (None, None, None)
    assert (report.released, report.looked_at) == (2, (0, 1))
    assert report.membership.members == 80 and report.membership.others == 60
    assert report.membership.epsilon is not None and 0.5 < report.membership.allowed_auc < 1
    assert open_ledger(released).head() == before, "it costs no budget"


def test_a_class_in_another_form_of_unicode_is_the_stores(released: StateFolder, table: Path) -> None:
    manifest = next(released.path.glob("store/*/manifest.json"))
    told = json.loads(manifest.read_text())
    named = {"da\u0308rk": "d\u00e4rk", "bright": "bright"}
    told["class_names"] = list(named)
    manifest.write_text(json.dumps(told))
    table.write_text(table.read_text().replace("dark", "d\u00e4rk"))
    counts = {row.name: row.count for row in make_report(released, "one", table, ()).rows if row.kind == "class"}
    assert counts == {name: table.read_text().count(f",{there},") for name, there in named.items()}


def test_pictures_are_called_pictures_where_nobody_says_whose_they_are(released: StateFolder, table: Path) -> None:
    report = make_report(released, "one", table, ())
    kept = in_words(report)
    assert (report.counted, report.unit, kept.counted) == ("picture", "picture", "picture")
    assert heads(report.counted)[2] == "pictures"
    assert "patient" not in " ".join([*kept.head, *kept.membership])
    assert "on 80 pictures of the dataset and 60 of the hold-out" in kept.membership[0]


def test_cells_count_patients_and_the_test_compares_what_the_dataset_protects(
    released: StateFolder, table: Path
) -> None:
    lines = table.read_text().splitlines()
    table.write_text("\n".join([f"{lines[0]},whose", *(f"{one},p{at // 3}" for at, one in enumerate(lines[1:]))]))
    config = DatasiteConfig.from_toml(released.config)
    write_config(released, replace(config, dataset=replace(config.dataset, patient_column="whose")))
    report = make_report(released, "one", table, ())
    assert (report.counted, report.rows[0].count) == ("patient", 20)
    assert (report.membership.members, report.membership.others) == (80, 60), "a picture is compared with a picture"
    told = " ".join(in_words(replace(report, unit="patient")).membership)
    assert "on 80 patients of the dataset" in told and "picture" not in told


def test_pictures_of_the_dataset_are_left_out_of_the_hold_out(released: StateFolder, table: Path) -> None:
    own = open_store(released.store / "pictures").images[:5]
    for number, image in enumerate(own):
        Image.fromarray(image[..., 0]).save(table.parent / f"{number}.png")
    (table.parent / "7.png").write_bytes(b"no picture")
    report = make_report(released, "one", table, ())
    assert (report.hold_out_pictures, report.hold_out_left_out) == (54, 6)


def test_what_is_not_kept_any_more_is_said(released: StateFolder, table: Path) -> None:
    queue = RunQueue(released.runs)
    runs = [run for run in queue.list() if run.state == "done"]
    queue.close()
    blob_file(released.blobs, ACCOUNT, runs[0].update_digest).unlink()
    report = make_report(released, "one", table, ())
    assert (report.released, report.looked_at) == (2, (1,))
    blob_file(released.blobs, ACCOUNT, runs[1].weights).unlink()
    with pytest.raises(ConfigError, match=r"released 2 updates.*still kept"):
        make_report(released, "one", table, ())


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda state, table: make_report(state, "three", table, ()), "No study 'three'"),
        (lambda state, table: make_report(state, "", table, ()), "No study ''"),
        (lambda state, table: make_report(state, "one", table, ("ward",)), "no column 'ward'"),
        (lambda state, table: make_report(state, "one", table.parent / "none", ()), "none"),
    ],
)
def test_what_is_not_there_is_named(
    change: Callable[[StateFolder, Path], StudyReport], match: str, released: StateFolder, table: Path
) -> None:
    with pytest.raises((ConfigError, DataError), match=match):
        change(released, table)


def test_a_study_of_which_a_part_stayed_here_has_no_whole_models_to_report_on(
    released: StateFolder, table: Path
) -> None:
    with closing(Approvals(released.approvals)) as approvals:
        known = approvals.of_request("one")
        assert known
        model = ModelSpec("small_cnn", (16, 16, 1), 2)
        approvals.record(replace(known, plan=replace(PLAN, model=model, server=ServerSpec("fed_bn")).to_json()))
    with pytest.raises(ConfigError, match="fed_bn, keeps a part of the model here"):
        make_report(released, "one", table, ())


def test_several_studies_of_one_name_must_be_told_apart(released: StateFolder, table: Path) -> None:
    approve(released, "two")
    with pytest.raises(ConfigError, match=r"Several requests are of study 'pneumonia': one, two\."):
        make_report(released, "pneumonia", table, ())


def test_the_page_is_private_escapes_what_it_shows_and_says_that_it_goes_nowhere(
    released: StateFolder, table: Path, tmp_path: Path
) -> None:
    text = table.read_text().replace("many", "<script>alert(1)</script>")
    table.write_text(text)
    report = make_report(released, "one", table, ("scanner",))
    file = tmp_path / "report.html"
    write_page(report, file)
    page = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "cost no budget because it goes nowhere" in page and f"fewer than {LEAST_IN_A_CELL}" in page
    with pytest.raises(ConfigError, match="cannot be written"):
        write_page(report, tmp_path / "nowhere" / "report.html")


def test_the_command_prints_it_and_writes_the_page(
    released: StateFolder, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    given = ["study-report", "one", "--holdout", str(table), "--column", "scanner", "--state", str(released.path)]
    assert main([*given, "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "goes nowhere" in printed and "fewer than 10" in printed and "no test can have more than AUC" in printed
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert main([*given, "--json", "--keep"]) == 0
    assert json.loads(capsys.readouterr().out)["released"] == 2
    (kept,) = KeptReports(released.study_reports).all()
    assert kept.study == "one" and ("scanner", "few", "fewer than 10") in {row[:3] for row in kept.rows}
    assert {stat.S_IMODE(one.stat().st_mode) for one in released.study_reports.iterdir()} == {0o600}
    backup = back_up(released, tmp_path / "backups").folder
    assert not list(backup.rglob("study-reports")), "what is removed on its page is gone"
