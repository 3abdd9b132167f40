"""Reports beside pictures: read on the hospital's word alone, kept as numbers, shown to nobody."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.array_store import SourcePictures, ingest, listed, pixels_of

from datasites.approvals.approval import Approval
from datasites.assets.drawn.reports import CLASS_NAMES, draw, write_example
from datasites.assets.mock import make_mock
from datasites.assets.store import StoreManifest, open_store
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.prepare import ingest_pictures
from datasites.runs.last_check import LastCheck
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import Listing
from policies.answers.hospital import DatasetSchema
from policies.answers.plain_values import from_plain, to_plain
from policies.errors import DataError, StoreBroken, WanwuError
from policies.plans.tokeniser import TextForm, tokens

FORM = TextForm(length=6, vocabulary=500)
CANARY = "zyzzyva4711"
FILES = [
    "by_unit.npy",
    "images.npy",
    "labels.npy",
    "manifest.json",
    "sources.npy",
    "texts.npy",
    "unit_starts.npy",
    "units.npy",
]


def pictures(count: int = 60, *, said: str = "word") -> SourcePictures:
    images = np.random.default_rng(0).integers(0, 256, (count, 4, 5, 3), dtype=np.uint8)
    reports = tuple(f"{said} {number}" for number in range(count))
    return SourcePictures(images, np.arange(count, dtype=np.int64) % 2, ("a", "b"), None, reports)


def reports_of(source: Listing) -> list[str]:
    return [str(one.report) for one in source.pictures]


def folder_with_reports(root: Path, *, hospitals: tuple[str, ...] = ("",)) -> Path:
    for hospital in hospitals:
        lines = ["picture,report"]
        for number in range(60):
            name = f"{'red' if number % 2 else 'white'}/{number}.png"
            file = root / hospital / name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 4), number).save(file)
            lines.append(f"{name},{hospital} {number} {CANARY}")
        (root / hospital / "reports.csv").write_text("\n".join(lines), encoding="utf-8")
    return root


# --- reading ---


def test_a_folders_reports_are_those_of_its_pictures(tmp_path: Path) -> None:
    source = listed(folder_with_reports(tmp_path), reports=True)
    assert [int(report.split()[0]) for report in reports_of(source)] == pixels_of(source)[:, 0, 0, 0].tolist()


def test_each_hospitals_folder_has_its_own_table(tmp_path: Path) -> None:
    folder_with_reports(tmp_path, hospitals=("north", "south"))
    for site in ("north", "south"):
        assert {report.split()[0] for report in reports_of(listed(tmp_path, site=site, reports=True))} == {site}


def test_a_picture_without_a_line_is_refused_and_the_public_text_does_not_name_it(tmp_path: Path) -> None:
    table = folder_with_reports(tmp_path) / "reports.csv"
    table.write_text(table.read_text().replace("red/31.png", "red/1031.png"))
    with pytest.raises(DataError, match="must name every picture") as caught:
        listed(tmp_path, reports=True)
    assert "31" not in caught.value.public and "31.png" in caught.value.private
    assert CANARY not in caught.value.private


def test_an_archives_reports_are_those_of_the_site(tmp_path: Path) -> None:
    file, _ = write_example(tmp_path, each=30, hold_out=10)
    arrays = np.load(file)
    source = listed(file, site="south", reports=True)
    assert source.class_names == CLASS_NAMES
    assert reports_of(source) == arrays["reports"][30:].tolist()


@pytest.mark.parametrize(
    ("reports", "message"),
    [
        (None, "must hold 'reports'"),
        (np.arange(60), "'reports' must be one text"),
        (np.array([CANARY] * 59), "'reports' must be one text"),
        (np.array([CANARY.encode()] * 60), "'reports' must be one text"),
    ],
)
def test_an_archive_without_one_text_for_each_picture_is_refused(tmp_path: Path, reports: Any, message: str) -> None:
    arrays: dict[str, Any] = {"images": pictures().images, "labels": pictures().labels}
    np.savez(tmp_path / "data.npz", **arrays, **({} if reports is None else {"reports": reports}))
    with pytest.raises(DataError, match=message) as caught:
        listed(tmp_path / "data.npz", reports=True)
    assert CANARY not in f"{caught.value.public} {caught.value.private}"


def test_reports_are_left_alone_unless_the_hospital_asks_for_them(tmp_path: Path) -> None:
    folder = folder_with_reports(tmp_path / "pictures")
    (folder / "reports.csv").write_bytes(b"\xff no table at all")
    file, _ = write_example(tmp_path, each=30, hold_out=10)
    for source in (listed(folder), listed(file, site="north")):
        assert {one.report for one in source.pictures} == {None}


# --- keeping ---


def test_each_picture_keeps_the_words_of_its_own_report(tmp_path: Path) -> None:
    source = pictures()
    manifest = ingest(source, tmp_path / "cells", name="cells", text=FORM)
    store = open_store(tmp_path / "cells")
    assert store.texts is not None and isinstance(store.texts, np.memmap)
    assert sorted(file.name for file in (tmp_path / "cells").iterdir()) == FILES
    expected = {
        image.tobytes(): row for image, row in zip(source.images, tokens(source.reports or (), FORM), strict=True)
    }
    for image, row in zip(store.images, store.texts, strict=True):
        assert np.array_equal(expected[image.tobytes()], row)
    assert store.manifest == manifest == StoreManifest.from_json(manifest.to_json())
    store.verify()


def test_a_store_without_reports_reads_as_it_did_before_there_were_any(tmp_path: Path) -> None:
    manifest = ingest(pictures(), tmp_path / "cells", name="cells")
    assert "text" not in manifest.to_json() and "text" not in manifest.schema()
    assert open_store(tmp_path / "cells").texts is None


def test_reports_that_are_to_be_kept_must_be_there(tmp_path: Path) -> None:
    source = pictures()
    without = SourcePictures(source.images, source.labels, source.class_names)
    with pytest.raises(DataError, match="set text_length to 0"):
        ingest(without, tmp_path / "cells", name="cells", text=FORM)


def test_other_reports_or_none_share_the_ledger_and_are_another_dataset_to_approve(tmp_path: Path) -> None:
    cases = (pictures(), FORM), (pictures(said="other"), FORM), (pictures(), TextForm(3, 500)), (pictures(), None)
    made = [ingest(one, tmp_path / str(at), name="cells", text=form) for at, (one, form) in enumerate(cases)]
    assert len({manifest.fingerprint for manifest in made}) == 1
    assert len({manifest.rows_digest for manifest in made}) == 4


def test_ingesting_the_same_reports_again_changes_nothing_and_others_are_refused(tmp_path: Path) -> None:
    first = ingest(pictures(), tmp_path / "cells", name="cells", text=FORM)
    assert ingest(pictures(), tmp_path / "cells", name="cells", text=FORM) == first
    for source, form in ((pictures(said="other"), FORM), (pictures(), TextForm(3, 500)), (pictures(), None)):
        with pytest.raises(DataError, match="was ingested before and stays as it is"):
            ingest(source, tmp_path / "cells", name="cells", text=form)


@pytest.mark.parametrize(
    "change",
    [
        lambda texts: texts[:, :5],
        lambda texts: texts[1:],
        lambda texts: texts.astype(np.int64),
        lambda texts: texts - 1,
        lambda texts: texts + 500,
    ],
)
def test_a_damaged_file_of_reports_is_found_before_anything_is_served(tmp_path: Path, change: Any) -> None:
    ingest(pictures(), tmp_path / "cells", name="cells", text=FORM)
    file = tmp_path / "cells" / "texts.npy"
    np.save(file, change(np.load(file)))
    with pytest.raises(StoreBroken):
        open_store(tmp_path / "cells").check_rows()


def test_a_missing_file_of_reports_is_found_when_the_store_is_opened(tmp_path: Path) -> None:
    ingest(pictures(), tmp_path / "cells", name="cells", text=FORM)
    (tmp_path / "cells" / "texts.npy").unlink()
    with pytest.raises(StoreBroken):
        open_store(tmp_path / "cells")


def test_reports_that_changed_since_the_last_run_are_refused(tmp_path: Path) -> None:
    store = tmp_path / "cells"
    published: Any = SimpleNamespace(manifest=ingest(pictures(), store, name="cells", text=FORM), store=store)
    plan: Any = "plan"
    check = LastCheck(lambda request_id: Approval("r1", "ab", plan, published, {}, {}))
    run: Any = SimpleNamespace(request_id="r1", account="ab")
    check(run)
    before = (store / "texts.npy").stat()
    np.save(store / "texts.npy", np.load(store / "texts.npy")[::-1].copy())
    os.utime(store / "texts.npy", ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(StoreBroken, match="labels, units or reports"):
        check(run)


# --- what is shown ---


def test_the_schema_tells_the_form_of_the_reports_and_nothing_of_them(tmp_path: Path) -> None:
    manifest = ingest(pictures(said=CANARY), tmp_path / "cells", name="cells", text=FORM)
    assert manifest.schema()["text"] == {"length": 6, "vocabulary": 500, "tokeniser": "hashed_words_1"}
    other = ingest(pictures(said="something else"), tmp_path / "other", name="cells", text=FORM)
    assert manifest.schema() == other.schema()
    assert make_mock(manifest.public).reports == make_mock(other.public).reports


def test_what_was_written_is_nowhere_in_the_store_the_schema_or_the_mock(tmp_path: Path) -> None:
    source = listed(folder_with_reports(tmp_path / "pictures"), reports=True)
    manifest = ingest(source, tmp_path / "state" / "cells", name="cells", text=FORM)
    store = open_store(tmp_path / "state" / "cells")
    mock = make_mock(manifest.public)
    kept = b"".join(file.read_bytes() for file in (tmp_path / "state" / "cells").iterdir())
    shown = f"{manifest!r} {store!r} {source!r} {json.dumps(manifest.schema())} {mock.reports}"
    for encoding in ("utf-8", "utf-16-le", "utf-32-le"):
        assert CANARY.encode(encoding) not in kept + shown.encode()


def test_the_mocks_reports_are_made_of_the_schema_alone_in_both_languages() -> None:
    schema = DatasetSchema("cells", ("a", "b"), (4, 4, 1), "picture", 100, 1, FORM)
    mock = make_mock(schema)
    assert mock.reports is not None and len(mock.reports) == len(mock.images)
    everything = " ".join(mock.reports)
    assert "report" in everything and "报告" in everything
    assert (tokens(mock.reports, FORM)[:, 0] > 0).all()
    without = make_mock(replace(schema, text=None))
    assert without.reports is None and np.array_equal(without.images, mock.images)
    with pytest.raises(DataError):
        from_plain(DatasetSchema, {**to_plain(schema), "text": {"length": 0, "vocabulary": 5}}, DataError)


# --- a hospital's own setting ---


def test_a_hospital_sets_the_words_it_keeps_and_gets_them(tmp_path: Path) -> None:
    file, _ = write_example(tmp_path, each=60, hold_out=10)
    state = StateFolder(tmp_path / "state")
    dataset = DatasetSettings(site="north", data_path=str(file), text_length=8, text_vocabulary=64)
    config = DatasiteConfig(name="north", dataset=dataset)
    manifest = ingest_pictures(state, DatasiteConfig.from_toml(_written(tmp_path, config)))
    assert manifest.text == config.dataset.text == TextForm(8, 64)
    assert DatasetSettings().text is None


@pytest.mark.parametrize("change", [{"text_length": -1}, {"text_length": 5000}, {"text_vocabulary": 1}])
def test_a_setting_out_of_range_is_refused_by_name(change: dict[str, int]) -> None:
    with pytest.raises(WanwuError, match=next(iter(change))):
        DatasetSettings(**change)  # type: ignore[arg-type]


def _written(folder: Path, config: DatasiteConfig) -> Path:
    (folder / "config.toml").write_text(config.to_toml())
    return folder / "config.toml"


# --- the drawn example ---


def test_neither_the_drawn_picture_nor_its_report_alone_tells_the_class() -> None:
    images, labels, reports = draw(4000, seed=5)
    assert (images.shape, images.dtype) == ((4000, 16, 16, 1), np.uint8)
    shares = np.bincount(labels, minlength=4) / 4000
    assert np.abs(shares - 0.25).max() < 0.04  # five standard deviations
    right = np.array([any(word in report for word in ("right", "右")) for report in reports])
    assert np.array_equal(right, labels % 2 == 1)
    # among pictures of one shape both sides are equally frequent, and the other way round
    for known in (labels < 2, labels >= 2, right, ~right):
        assert abs(np.bincount(labels[known], minlength=4).max() / known.sum() - 0.5) < 0.06
    # what else a report says and how dark its picture is hang on nothing: equal for both sides
    bright = images.mean(axis=(1, 2, 3))
    assert abs(bright[right].mean() - bright[~right].mean()) < 5 * bright.std() / np.sqrt(1000)
