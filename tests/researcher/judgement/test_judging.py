"""Models judged on public test data: every form of file and of data, groups, calibration, comparison, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.dicom_files import made, written
from support.exported_models import SIDE
from support.judged_models import CLASSES, greys, npz, onnx_model, pictures, safetensors_model

from policies.errors import ConfigError, DataError
from policies.plans.training import ModelSpec
from researcher.cli.program import main
from researcher.counts.intervals import Interval
from researcher.judgement.bootstrap import Bootstrap
from researcher.judgement.judge import judge
from researcher.judgement.judgement import Judgement
from researcher.judgement.test_data import About
from researcher.studies.checkpoints import Checkpoint, save_model

FEW_DRAWS = Bootstrap(40)


def known(score: Interval | None) -> Interval:
    """A score that must be there."""
    assert score is not None
    return score


def judged(model: Path, data: Path, **more: object) -> Judgement:
    return judge(model, data, **{"bootstrap": FEW_DRAWS, "speed": False, **more})


def test_a_studys_model_and_its_export_are_judged_alike(tmp_path: Path) -> None:
    data = npz(tmp_path / "test.npz")
    first = judged(safetensors_model(tmp_path), data)
    second = judged(onnx_model(tmp_path), data)
    int8 = judged(onnx_model(tmp_path, "small.onnx", format="onnx-int8"), data)
    assert [one.model.format for one in (first, second, int8)] == ["safetensors", "onnx", "onnx-int8"]
    assert first.confusion == second.confusion and sum(map(sum, first.confusion)) == 80
    for name in ("accuracy", "macro_f1"):
        assert first.scores[name] == second.scores[name] == int8.scores[name]
    assert Judgement.from_json(first.to_json()) == first
    assert first.data.unit == "picture" and "Nobody says which patient a picture is of" in " ".join(first.cautions)


def test_folders_tables_and_arrays_of_the_same_pictures_are_judged_alike(tmp_path: Path) -> None:
    model = onnx_model(tmp_path)
    names, labels = pictures(tmp_path / "table")
    for name, label in zip(names, labels, strict=True):
        (tmp_path / "folder" / CLASSES[label]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / CLASSES[label] / name).write_bytes((tmp_path / "table" / name).read_bytes())
    rows = [f"{name},{CLASSES[label]}" for name, label in zip(names, labels, strict=True)]
    (tmp_path / "table" / "labels.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    images = np.full((24, SIDE, SIDE, 1), 0, np.uint8) + greys(24)[0][:, None, None, None].astype(np.uint8)
    np.savez(tmp_path / "arrays.npz", images=images, labels=labels, class_names=np.array(CLASSES))
    sources = (tmp_path / "folder", tmp_path / "table" / "labels.csv", tmp_path / "arrays.npz")
    found = [judged(model, source) for source in sources]
    assert found[0].confusion == found[1].confusion == found[2].confusion
    assert [known(one.scores["macro_auroc"]).value for one in found] == pytest.approx(
        [known(found[0].scores["macro_auroc"]).value] * 3
    )


def test_patients_hospitals_and_groups_of_a_table_are_told(tmp_path: Path) -> None:
    names, labels = pictures(tmp_path, count=48)
    rows = [
        f"{name},{CLASSES[label]},p{k // 4},{('north', 'south')[k % 2]},{'f' if k < 40 else ''}"
        for k, (name, label) in enumerate(zip(names, labels, strict=True))
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,patient,site,sex", *rows]) + "\n")
    found = judged(onnx_model(tmp_path), tmp_path / "labels.csv", about=About(group_columns=("sex",)))
    assert (found.data.unit, found.data.units, found.data.pictures) == ("patient", 12, 48)
    groups = {(one.column, one.value): one for one in found.groups}
    assert set(groups) == {("site", "north"), ("site", "south"), ("sex", "f"), ("sex", "not given")}
    assert groups["site", "north"].pictures == 24 and groups["sex", "not given"].pictures == 8
    told = " ".join(found.cautions)
    assert "Groups of fewer than 30 patients: site north (12)" in told
    assert "Fewer than 30 patients have dark" in told


def test_a_table_about_a_folder_is_joined_by_path_and_one_that_lacks_a_picture_is_refused(tmp_path: Path) -> None:
    names, labels = pictures(tmp_path / "all", count=12)
    for name, label in zip(names, labels, strict=True):
        (tmp_path / "data" / CLASSES[label]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / name).rename(tmp_path / "data" / CLASSES[label] / name)
    about = tmp_path / "about.csv"
    about.write_text("\n".join(["path,ward", *(f"{name},w{k % 2}" for k, name in enumerate(names))]))
    model = onnx_model(tmp_path)
    found = judged(model, tmp_path / "data", about=About(about, group_columns=("ward",)))
    assert [one.pictures for one in found.groups] == [6, 6]
    about.write_text("\n".join(["path,ward", *(f"{name},w{k % 2}" for k, name in enumerate(names[1:]))]))
    with pytest.raises(DataError, match=r"says nothing of .*0\.png"):
        judged(model, tmp_path / "data", about=About(about, group_columns=("ward",)))
    with pytest.raises(DataError, match=r"no column 'age'\. It has path, ward"):
        judged(model, tmp_path / "data", about=About(about, group_columns=("age",)))


def test_a_temperature_mends_calibration_and_is_never_chosen_on_test_pictures(tmp_path: Path) -> None:
    model, data = safetensors_model(tmp_path, scale=0.2), npz(tmp_path / "test.npz", 200)
    found = judged(model, data, calibrate_on=npz(tmp_path / "other.npz", 200, seed=1))
    assert found.temperature is not None and found.temperature.value < 1
    assert known(found.temperature.scores["ece"]).value < known(found.scores["ece"]).value
    assert found.temperature.chosen_on == "other.npz"
    with pytest.raises(DataError, match=r"200 of the 200 pictures in .* are test pictures too"):
        judged(model, data, calibrate_on=data)


def test_two_models_are_compared_on_the_same_pictures_whatever_the_order_of_their_classes(tmp_path: Path) -> None:
    data = npz(tmp_path / "test.npz", groups=np.arange(80) // 2)
    model = onnx_model(tmp_path)
    same = judged(model, data, against=safetensors_model(tmp_path)).comparison
    assert same is not None and same.mcnemar is not None and same.mcnemar.p_exact == 1.0
    assert known(same.differences["accuracy"]).value == 0.0
    turned = onnx_model(tmp_path, "turned.onnx", class_names=CLASSES[::-1])  # says bright where it is dark
    other = judged(model, data, against=turned)
    assert other.comparison is not None and known(other.comparison.differences["macro_auroc"]).low > 0.3
    assert other.comparison.classes[0].delong is not None and other.comparison.classes[0].p_together < 0.001
    assert "p values are too small" in " ".join(other.cautions)
    with pytest.raises(DataError, match="are cat, dog"):
        judged(model, data, against=onnx_model(tmp_path, "cats.onnx", class_names=("cat", "dog")))


def test_no_share_is_told_of_a_class_without_pictures(tmp_path: Path) -> None:
    images = np.full((6, SIDE, SIDE, 1), 200, np.uint8)
    images[:, 0, 0, 0] = range(6)
    np.savez(tmp_path / "one.npz", images=images, labels=np.ones(6, np.int64), class_names=np.array(CLASSES))
    page = judged(onnx_model(tmp_path), tmp_path / "one.npz")._repr_html_()
    absent, there = (page.split(f'<th scope="row">{name}</th>')[-1].split("</tr>")[0] for name in CLASSES[:2])
    assert absent.count(">–<small>0</small>") == len(CLASSES) and "%<small>" not in absent
    assert "%<small>" in there and "–" not in there


def test_a_finding_that_no_picture_has_and_the_model_tells_is_said_to_lower_the_macro_f1(tmp_path: Path) -> None:
    values, labels = greys(60)
    names, images = ("pale", "bright"), np.zeros((60, SIDE, SIDE, 1), np.uint8)
    images += values[:, None, None, None].astype(np.uint8)
    findings = np.stack([1 - labels, np.zeros(60)], axis=1).astype(np.int8)
    np.savez(tmp_path / "test.npz", images=images, labels=findings, class_names=np.array(names))
    model = onnx_model(tmp_path, label_kind="multi", class_names=names)
    found = judged(model, tmp_path / "test.npz", accept=["same_picture_in_two_classes"])
    pale, bright = (known(one.scores["f1"]).value for one in found.classes)
    assert bright == 0 and known(found.scores["macro_f1"]).value == pytest.approx(pale / 2) and pale > 0
    told = " ".join(found.cautions)
    assert "no picture of bright: how well that finding is told cannot be said" in told
    assert "The model tells bright all the same: its F1 is 0 here, and the macro F1 counts that." in told


def test_findings_are_judged_over_what_is_known_of_each(tmp_path: Path) -> None:
    values, labels = greys(60)
    findings = np.stack([1 - labels, labels, np.full(60, -1)], axis=1).astype(np.int8)
    findings[:5, 0] = -1
    images = np.zeros((60, SIDE, SIDE, 1), np.uint8) + values[:, None, None, None].astype(np.uint8)
    names = ("pale", "bright", "other")
    np.savez(tmp_path / "test.npz", images=images, labels=findings, class_names=np.array(names))
    model = onnx_model(tmp_path, label_kind="multi", class_names=names)
    found = judged(model, tmp_path / "test.npz", accept=["same_picture_in_two_classes"])
    assert [(one.name, one.known) for one in found.classes] == [("pale", 55), ("bright", 60), ("other", 0)]
    assert found.confusion == () and found.absent == ("other",)
    assert found.classes[2].scores["auroc"] is None and found.scores["macro_auroc"] is not None
    told = " ".join(found.cautions)
    assert "no picture of other: how well that finding is told cannot be said" in told and "all the same" not in told
    with pytest.raises(DataError, match="The model tells one class a picture"):
        judged(onnx_model(tmp_path, "single.onnx", class_names=names), tmp_path / "test.npz")


def test_pictures_of_another_size_are_brought_to_the_models_by_the_one_decoder(tmp_path: Path) -> None:
    values, labels = greys(20)
    large = np.zeros((20, 40, 30, 1), np.uint8) + values[:, None, None, None].astype(np.uint8)
    np.savez(tmp_path / "large.npz", images=large, labels=labels, class_names=np.array(CLASSES))
    found = judged(onnx_model(tmp_path, form=None), tmp_path / "large.npz")
    assert found.confusion == judged(onnx_model(tmp_path), tmp_path / "large.npz").confusion
    assert found.data.converted.startswith("Pictures of 40 × 30 grey were brought to the model's 16 × 16 grey")


@pytest.mark.parametrize(
    ("names", "told"), [(("dark", "brigth"), "'brigth'; the model's are dark, bright"), (("x", "y"), "'x', 'y'")]
)
def test_classes_that_are_not_the_models_are_named(tmp_path: Path, names: tuple[str, str], told: str) -> None:
    values, labels = greys(10)
    images = np.zeros((10, SIDE, SIDE, 1), np.uint8) + values[:, None, None, None].astype(np.uint8)
    np.savez(tmp_path / "other.npz", images=images, labels=labels, class_names=np.array(names))
    with pytest.raises(DataError, match=told):
        judged(onnx_model(tmp_path), tmp_path / "other.npz")


def test_patients_of_dicom_files_are_known(tmp_path: Path) -> None:
    for number, (value, label) in enumerate(zip(*greys(12), strict=True)):
        folder = tmp_path / "dicom" / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        file = made(np.full((SIDE, SIDE), value, np.uint8), PatientID=f"p{number // 3}")
        written(file, folder / f"{number}.dcm")
    found = judged(onnx_model(tmp_path), tmp_path / "dicom")
    assert (found.data.unit, found.data.units, found.data.pictures) == ("patient", 4, 12)


def test_a_temperature_of_the_same_patients_is_told(tmp_path: Path) -> None:
    groups = np.arange(40) // 4
    data, other = npz(tmp_path / "a.npz", 40, groups=groups), npz(tmp_path / "b.npz", 40, seed=1, groups=groups + 7)
    found = judged(onnx_model(tmp_path), data, calibrate_on=other)
    assert found.temperature is not None and found.temperature.shared_patients == 3
    assert "3 patients of the pictures that the temperature was chosen on" in " ".join(found.cautions)


def test_a_model_without_numbers_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    spec = ModelSpec("linear", (SIDE, SIDE, 1), 2)
    data = npz(tmp_path / "test.npz", 12)
    weights = {"head.weight": np.full((2, SIDE * SIDE), 3e38, np.float32), "head.bias": np.zeros(2, np.float32)}
    broken = save_model(tmp_path / "broken.safetensors", Checkpoint(weights, spec, 1, CLASSES, "2" * 64, {}))
    with pytest.raises(DataError, match=r"broken.safetensors gives no numbers .* for 12 of 12 pictures, first for 0"):
        judged(broken, data)
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"ends in .safetensors or .onnx"):
        judged(tmp_path / "model.pt", data)


def test_constant_scores_and_a_single_picture_are_told_as_such(tmp_path: Path) -> None:
    constant = judged(safetensors_model(tmp_path, scale=0.0), npz(tmp_path / "test.npz", 30))
    assert "the same probability of dark, bright" in " ".join(constant.cautions)
    assert known(constant.scores["macro_auroc"]).value == 0.5
    alone = judged(onnx_model(tmp_path), npz(tmp_path / "one.npz", 1))
    assert alone.scores["macro_auroc"] is None
    told = " ".join(alone.cautions)
    assert "a single picture: nothing is certain" in told and "Every test picture is of" in told


def test_the_command_writes_a_page_and_json_and_measures_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = onnx_model(tmp_path), npz(tmp_path / "test.npz", sites=np.array(["<b>north</b>", "south"] * 40))
    words = ["evaluate", "--model_path", str(model), "--test_data", str(data), "--draws", "40"]
    assert main(["evaluate", str(model), *words[1:]]) == 2 and "Two models are given" in capsys.readouterr().err
    assert main(["evaluate", *words[3:]]) == 2 and "Give the model: --model_path" in capsys.readouterr().err
    assert main([*words]) == 2 and "--draws goes with --json or --html" in capsys.readouterr().err
    assert main([*words, "--json", str(tmp_path / "j.json"), "--html", str(tmp_path / "j.html")]) == 0
    said = capsys.readouterr().out
    assert "Of 100 pictures like these the model tells about" in said and "Caution:" in said
    found = Judgement.from_json((tmp_path / "j.json").read_text())
    assert found.speed is not None and 0 < found.speed.median_ms <= found.speed.p95_ms
    assert found.speed.peak_memory_mb > 20 and found.model.bytes == model.stat().st_size
    page = (tmp_path / "j.html").read_text()
    assert "<b>north" not in page and "&lt;b&gt;north" in page
    assert "<script" not in page and "http:" not in page and "https:" not in page
    assert "prefers-color-scheme: dark" in page and page.count("<svg") == 2
    assert all(part in found._repr_html_() for part in ("Which is taken for which", "Reliability", "sensitivity"))
    capsys.readouterr()
    assert main(words[:-2]) == 0  # without files: short scores, as ever
    assert json.loads(capsys.readouterr().out).keys() == {"accuracy", "macro_f1", "recall", "pictures"}


def test_what_is_no_judgement_is_not_read_as_one() -> None:
    for text in ("{", "[]", '{"version": 2}', '{"version": 1}'):
        with pytest.raises(ConfigError, match="judgement"):
            Judgement.from_json(text)


def test_one_picture_in_two_classes_is_judged_only_where_it_is_accepted_and_copies_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = safetensors_model(tmp_path)
    images = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, SIDE, SIDE, 1), np.uint8)
    labels, told = np.arange(12) % 2, tmp_path / "told.json"
    images[8] = images[6]
    np.savez(tmp_path / "copies.npz", images=images, labels=labels, class_names=np.array(CLASSES))
    found = judged(model, tmp_path / "copies.npz")
    assert (found.data.copies, found.data.in_two_classes) == (1, 0)
    assert "1 picture has exactly the pixels and the label of another one" in " ".join(found.cautions)
    images[9] = images[2]
    np.savez(tmp_path / "two.npz", images=images, labels=labels, class_names=np.array(CLASSES))
    with pytest.raises(
        DataError, match="1 picture has exactly the pixels of another one and another label, such as 2 "
    ):
        judged(model, tmp_path / "two.npz")
    given = ["evaluate", "--model_path", str(model), "--test_data", str(tmp_path / "two.npz")]
    assert main(given) == 1 and "--accept same_picture_in_two_classes" in capsys.readouterr().err
    given += ["--accept", "same_picture_in_two_classes"]
    assert main(given) == 0 and "another label, so no model can be right on both" in capsys.readouterr().err
    assert main([*given, "--draws", "20", "--json", str(told), "--html", str(tmp_path / "told.html")]) == 0
    read = Judgement.from_json(told.read_bytes())
    assert (read.data.copies, read.data.in_two_classes) == (1, 1)
    assert "another label, so no model can be right on both" in (tmp_path / "told.html").read_text()
    older = json.loads(told.read_text())
    del older["data"]["copies"], older["data"]["in_two_classes"]
    assert Judgement.from_json(json.dumps(older)).data.copies == 0
