"""Folders that are called after a part of a data set, by a system, or after a person are no hospitals or classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.dicom_files import made, written
from support.painting import Paint

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.folders.splits import (
    are_parts,
    is_part,
    parts_among,
    refuse_part_classes,
    refuse_part_hospitals,
    refuse_splits,
    to_train_on,
)
from datasites.sources.folders.unnamed import refuse_unnamed
from datasites.sources.read_listing import list_pictures
from datasites.sources.sites import list_sites
from policies.errors import DataError, IdentitySuspected
from researcher.evaluation.hold_out import load_hold_out

PARTS = [
    ("train", "val", "test"),
    ("Training", "Validierung"),
    ("training_set", "test_set"),
    ("seg_train", "seg_test", "seg_pred"),
    ("Train Images", "test-images"),
    ("TrainImages", "TestImages"),
    ("trainset", "testset"),
    ("ISIC_Train", "ISIC_Test"),
    ("train1", "test1", "train2"),
    ("训练集", "测试集"),
    ("胸片训练", "胸片测试"),
    ("apprentissage", "test"),
    ("entraînement", "validation"),
    ("entrai\u0302nement", "évaluation"),
    ("Entrenamiento", "Prueba"),
    ("conjunto_de_entrenamiento", "conjunto de pruebas"),
    ("treino", "teste"),
    ("Treinamento", "Validação"),
    ("addestramento", "validazione"),
    ("Trainingsdaten", "Testdaten"),
    ("обучение", "тест"),
    ("Обучающая выборка", "Тестовая выборка"),
    ("для обучения", "для проверки"),
    ("тренировочные данные", "валидационные данные"),
    ("学習", "検証", "テスト"),
    ("学習用データ", "テスト用データ"),
    ("訓練セット", "評価セット"),
    ("トレーニング", "バリデーション"),
    ("학습", "검증", "시험"),
    ("훈련_데이터셋", "테스트_데이터셋"),
    ("학습용", "테스트용"),
    ("eğitim", "doğrulama", "test"),
    ("EĞİTİM VERİSİ", "TEST VERİSİ"),
    ("egitim_seti", "dogrulama_seti"),
    ("données d'entraînement", "données de test"),
    ("base_apprentissage", "base_test"),
    ("aprendizaje", "validacion", "prueba"),
    ("conjunto de treino", "conjunto de teste"),
    ("addestramento", "verifica"),
    ("训练用", "测试用"),
    ("تدريب", "اختبار"),
    ("بيانات التدريب", "بيانات الاختبار"),
    ("آموزش", "آزمون"),
    ("zbiór_treningowy", "zbiór_testowy"),
    ("trénovací", "testovací"),
    ("träning", "validering"),
    ("træning", "test"),
    ("huấn luyện", "kiểm tra"),
    ("data_latih", "data_uji"),
    ("навчання", "перевірка"),
    ("tr", "te"),
    ("tr", "val"),
    ("TR", "VAL", "TS"),
    ("imagesTr", "imagesTs"),
    ("01_train", "02_val", "03_test"),
    ("1. Train", "2. Test"),
    ("1) 训练集", "2) 测试集"),
    ("a. Training Set", "b. Testing Set"),
    ("A) Train", "B) Test"),
    ("II. Test", "I. Training"),
    ("train80", "test20"),
    ("train_70", "val_15", "test_15"),
    ("train (80%)", "test (20%)"),
    ("0.8_train", "0.2_test"),
    ("train 0,7", "valid 0,2", "test 0,1"),
    ("TRN", "TST"),
    ("train", "validate"),
    ("train", "tune", "test"),
    ("learning_set", "test_set"),
    ("Lerndaten", "Prüfdaten"),
    ("Lerndaten", "Pru\u0308fdaten"),
    ("Lernmenge", "Testmenge"),
    ("Trainingsbilder", "Prüfbilder"),
    ("trainingsset", "testset"),
    ("oefendata", "testdata"),
    ("træningsdata", "testdata"),
    ("träningsmängd", "valideringsmängd"),
    ("opetusaineisto", "testiaineisto"),
    ("zbiór uczący", "zbiór testowy"),
    ("trénovacia", "testovacia"),
    ("učna množica", "testna množica"),
    ("treniranje", "testiranje"),
    ("tanító", "teszt"),
    ("antrenare", "testare"),
    ("εκπαίδευση", "δοκιμή"),
    ("ΕΚΠΑΙΔΕΥΣΗ", "ΕΠΙΚΥΡΩΣΗ"),
    ("אימון", "בדיקה"),
    ("ชุดฝึก", "ชุดทดสอบ"),
    ("प्रशिक्षण", "परीक्षण"),
    ("entrenament", "prova"),
    ("öğrenme", "test"),
    ("data_latih", "data_validasi"),
    ("训练集", "校验集"),
    ("\uff54\uff52\uff41\uff49\uff4e", "\uff54\uff45\uff53\uff54"),  # train and test as wide as Chinese letters
    ("\uff84\uff9a\uff70\uff86\uff9d\uff78\uff9e", "\uff83\uff7d\uff84"),  # narrow katakana
]
NO_PARTS = [
    ("north", "test"),
    ("site_1_train", "site_2_train"),
    ("stress test", "exercise testing"),
    ("valid", "invalid"),
    ("train1", "test2"),
    ("hospital_a", "hospital_b"),
    ("Teststadt", "Trainingen"),
    ("prova_1", "provata"),
    ("Entrena", "Pruebas"),
    ("Testes_a", "Testes_b"),
    ("TR", "TS", "MR", "MS"),
    ("TE", "PA", "AP"),
    ("1_train", "2_train"),
    ("test+", "test-"),
    ("Test (+)", "Test (\u2212)"),
    ("+ test", "- test"),
    ("12train", "34test"),
    ("01_benign", "02_malignant"),
    ("臨床試験", "検診"),
    ("train0", "test1"),
    ("train_2019", "test_2020"),
    ("train80", "train20"),
    ("train80", "test30"),
    ("north_train80", "south_test20"),
    ("a. train_north", "b. test_south"),
    ("Lernende", "Prüfer"),
    ("tune up", "test run"),
    ("обучение врачей", "тест крови"),
]
PART_ALONE = ["test", "02_test", "Test Set", "holdout", "held_out", "测试集", "Testdaten", "prueba", "validation"]


@pytest.mark.parametrize("names", PARTS)
def test_names_that_differ_in_the_part_alone_are_parts(names: tuple[str, ...]) -> None:
    beside = {*names, *([] if names == ("imagesTr", "imagesTs") else ["benign"])}
    found = parts_among(beside)
    assert len(found) > 1 and set(found) <= set(names)
    with pytest.raises(DataError, match="look like parts of one data set"):
        refuse_splits(beside)


@pytest.mark.parametrize("names", NO_PARTS)
def test_other_names_are_no_parts(names: tuple[str, ...]) -> None:
    assert parts_among(names) == {}
    refuse_splits(names)


def test_what_else_stands_in_the_names_of_parts_is_private() -> None:
    with pytest.raises(DataError) as caught:
        refuse_splits(("Muster_Anna_train", "Muster_Anna_test"))
    assert "Muster" in caught.value.private and "Muster" not in caught.value.public


def test_the_part_to_train_on_is_known_and_a_name_of_nothing_else_is_a_part() -> None:
    assert to_train_on(("test", "Training")) == "Training" and to_train_on(("测试集", "训练集")) == "训练集"
    assert is_part("Test Set") and is_part("训练集") and not is_part("seg_train") and not is_part("benign")
    for train, test in (
        ("обучающая", "тестовая"),
        ("学習用", "評価用"),
        ("훈련", "검증"),
        ("EĞİTİM", "TEST"),
        ("التدريب", "الاختبار"),
        ("trening", "walidacja"),
        ("huấn_luyện", "kiểm_tra"),
        ("tr", "te"),
        ("trn", "tst"),
        ("Lerndaten", "Prüfdaten"),
        ("a. Training Set", "b. Testing Set"),
        ("train80", "test20"),
        ("learning", "test"),
        ("oefendata", "testdata"),
        ("uczący", "testowy"),
        ("učna", "testna"),
        ("tanító", "teszt"),
        ("opetus", "testi"),
        ("antrenare", "testare"),
        ("εκπαίδευση", "δοκιμή"),
        ("האימון", "הבדיקה"),
        ("ฝึก", "ทดสอบ"),
        ("प्रशिक्षण", "परीक्षण"),
        ("öğrenme", "test"),
        ("latihan", "ujian"),
    ):
        assert to_train_on((test, train)) == train and are_parts((test, train))
    assert is_part("val") and not is_part("TR") and not are_parts(("TR", "TS")), (
        "which findings and hospitals are called"
    )


@pytest.mark.parametrize("part", ["test", "Тест", "テスト", "검증", "val", "doğrulama", "train"])
def test_one_part_beside_classes_is_no_class(paint: Paint, tmp_path: Path, part: str) -> None:
    for kind, view in (("red", "AP"), ("white", "PA"), (part, "LL")):
        paint(f"all/{kind}/1.png")
        (tmp_path / "dicom" / kind).mkdir(parents=True)
        written(made([[0, 100], [200, 255]], ViewPosition=view), tmp_path / "dicom" / kind / "1")
    for source in ("all", "dicom"):
        settings = DatasetSettings(data_path=str(tmp_path / source))
        with pytest.raises(DataError, match=rf"The name {part} is that of a part.*If it is a class, declare"):
            list_pictures(settings)
        assert len(list_pictures(replace(settings, class_names=("red", part, "white"))).pictures) == 3
    with pytest.raises(DataError, match=rf"It holds classes and a part of a data set \({part}\)"):
        load_hold_out(tmp_path / "all")
    assert len(load_hold_out(tmp_path / "all", class_names=("red", part, "white")).images) == 3


@pytest.mark.parametrize(
    "folds", [("fold1", "fold2", "fold3"), ("Fold_0", "fold_1"), ("第1折", "第2折"), ("cv-fold 1", "cvfold2")]
)
def test_parts_for_cross_validation_are_neither_hospitals_nor_classes(
    paint: Paint, tmp_path: Path, folds: tuple[str, ...]
) -> None:
    for fold in folds:
        paint(f"flat/{fold}/1.png")
        for kind in ("red", "white"):
            paint(f"outside/{fold}/{kind}/1.png")
            paint(f"inside/{kind}/{fold}/1.png")
    with pytest.raises(DataError, match=rf"{folds[0]}.*for cross-validation, not like hospitals"):
        list_sites(tmp_path / "outside")
    for source, site in (("flat", ""), ("inside", "red")):
        settings = DatasetSettings(data_path=str(tmp_path / source), site=site)
        with pytest.raises(DataError, match=rf"{folds[0]}.*for cross-validation, not like classes"):
            list_pictures(settings)
    whole = DatasetSettings(data_path=str(tmp_path / "inside"), folder_levels=("class", "other"))
    assert len(list_pictures(whole).pictures) == 2 * len(folds)
    declared = DatasetSettings(data_path=str(tmp_path / "flat"), class_names=folds)
    assert len(list_pictures(declared).pictures) == len(folds)


def test_names_that_only_resemble_such_parts_are_classes() -> None:
    refuse_part_classes(("fold", "unfolded", "folding 1", "10-fold increase"))
    refuse_part_hospitals(("fold1", "north", "south"))


def test_valid_and_invalid_are_classes(paint: Paint, tmp_path: Path) -> None:
    for kind in ("valid", "invalid"):
        paint(f"all/{kind}/1.png")
    assert list_pictures(DatasetSettings(data_path=str(tmp_path / "all"))).class_names == ("invalid", "valid")


@pytest.mark.parametrize("part", ["test", "validation", "тест"])
def test_one_part_beside_other_folders_of_a_class_is_not_trained_on(paint: Paint, tmp_path: Path, part: str) -> None:
    for kind in ("red", "white"):
        paint(f"all/{kind}/ward 1/1.png")
        paint(f"all/{kind}/{part}/2.png")
    settings = DatasetSettings(data_path=str(tmp_path / "all"), folder_levels=("class", "other"))
    for levels in (("class", "other"), ("class", "patient")):
        with pytest.raises(DataError, match=rf"The folders {part} look like parts of one data set"):
            list_pictures(replace(settings, folder_levels=levels))
    assert len(list_pictures(replace(settings, split="all")).pictures) == 4
    for kind in ("red", "white"):
        (tmp_path / "all" / kind / part).rename(tmp_path / "all" / kind / "train")
    assert len(list_pictures(settings).pictures) == 4, "what is to be trained on is, with the others"
    paint(f"all/red/ward 1/{part}/3.png")  # beside pictures that lie in no folder more
    with pytest.raises(DataError, match=rf"The folders {part} look like parts"):
        list_pictures(settings)


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("x/train", "x/val"), ("обучение", "тест"), ("tr", "te")]
)
def test_a_table_whose_paths_lie_in_parts_is_asked_about(paint: Paint, tmp_path: Path, train: str, test: str) -> None:
    rows = ["path,label,ward"]
    for part in (train, test):
        for kind in ("red", "white"):
            paint(f"{part}/{kind}.png")
            rows.append(f"{part}/{kind}.png,{kind},{part[0]}")
    file = tmp_path / "labels.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    settings = DatasetSettings(data_path=str(file))
    with pytest.raises(DataError, match=r"look like parts of one data set, and all of them.*a table of one part alone"):
        list_pictures(settings)
    with pytest.raises(DataError, match="a table of one part alone: one to train on, and another to measure"):
        load_hold_out(file)
    assert len(list_pictures(replace(settings, split="all")).pictures) == 4
    file.write_text("\n".join(rows[:3]), encoding="utf-8")
    assert len(list_pictures(settings).pictures) == len(load_hold_out(file).images) == 2
    file.write_text("\n".join([*rows[:3], f"{test}/red.png,red,"]), encoding="utf-8")
    with pytest.raises(DataError, match="look like parts"):
        list_pictures(settings)


@pytest.mark.parametrize(
    "names",
    [
        *(("pT1", "pT2"), ("pT1", "pT2", "pT3a"), ("ypT0", "pT1"), ("test+", "test-"), ("Test (+)", "Test (\u2212)")),
        *(("p16", "p53"), ("p40", "p63", "p120"), ("Ki67", "p16", "p53"), ("p16+", "p16-"), ("CD3", "CD20")),
    ],
)
def test_stages_stains_and_results_of_a_test_are_classes(paint: Paint, tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        paint(f"{name}/1.png")
    assert set(list_pictures(DatasetSettings(data_path=str(tmp_path))).class_names) == set(names)


@pytest.mark.parametrize(
    "names",
    [
        *(("PT1", "PT2"), ("pt1", "pt2"), ("pT01", "pT02"), ("pT5", "pT6"), ("pT1", "p2"), ("pT1", "p16")),
        *(("p16", "p17"), ("p16", "p53", "p54"), ("P16", "P53"), ("p016", "p053"), ("p_16", "p_53"), ("p16", "P53")),
    ],
)
def test_numbered_patients_in_letters_of_stages_or_stains_are_no_classes(
    paint: Paint, tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        paint(f"{name}/1.png")
    with pytest.raises(IdentitySuspected, match="record numbers"):
        list_pictures(DatasetSettings(data_path=str(tmp_path)))


def test_a_class_folder_is_no_hospitals(paint: Paint, tmp_path: Path) -> None:
    for kind in ("benign", "malignant"):
        paint(f"plain/{kind}/1.png")
        for number in (1, 2):
            paint(f"same/{kind}/P{number}/1.png")
            paint(f"apart/{kind}/{kind[0]}{number}/1.png")
    with pytest.raises(DataError, match=r"it looks like a class's. Leave site out"):
        list_pictures(DatasetSettings(data_path=str(tmp_path / "plain"), site="benign"))
    with pytest.raises(IdentitySuspected, match="class names that look like record numbers") as refused:
        list_pictures(DatasetSettings(data_path=str(tmp_path / "same"), site="benign"))
    assert "P1" not in refused.value.public
    with pytest.raises(DataError, match=r"no two hospitals have a class in common. If the outer ones are classes"):
        list_pictures(DatasetSettings(data_path=str(tmp_path / "apart"), site="benign"))
    paint("mixed/north/red/1.png")
    paint("mixed/north/2.png")
    for levels in ((), ("site", "class")):
        settings = DatasetSettings(data_path=str(tmp_path / "mixed"), site="north", folder_levels=levels)
        with pytest.raises(DataError, match="one lies higher" if levels else "it looks like a class's"):
            list_pictures(settings)


@pytest.mark.parametrize("parts", [("train", "val", "test"), ("seg_train", "seg_test")])
def test_a_hold_out_of_several_parts_is_refused_since_hospitals_may_have_trained_on_one(
    paint: Paint, tmp_path: Path, parts: tuple[str, ...]
) -> None:
    for part in parts:
        for kind in ("red", "white"):
            paint(f"outside/{part}/{kind}/1.png")
            paint(f"inside/{kind}/{part}/1.png")
    for folder in ("outside", "inside"):
        for names in (None, ("red", "white")):
            with pytest.raises(DataError, match=rf"parts of one data set \(.*{parts[0]}.*no hospital trained on"):
                load_hold_out(tmp_path / folder, class_names=names)
    assert load_hold_out(tmp_path / "outside" / parts[-1]).class_names == ("red", "white")


@pytest.mark.parametrize("hospital", ["", "north/"])
def test_a_hold_outs_class_of_which_no_file_is_read_is_not_dropped(paint: Paint, tmp_path: Path, hospital: str) -> None:
    for name in ("benign", "normal"):
        paint(f"{hospital}{name}/1.png")
    broken = tmp_path / hospital / "malignant" / "scan"
    broken.parent.mkdir()
    broken.write_bytes(b"cut")
    with pytest.raises(DataError, match="A class folder holds files, and none of them is a picture"):
        load_hold_out(tmp_path)
    assert load_hold_out(tmp_path, class_names=("benign", "normal")).labels.tolist() == [0, 1]


def test_classes_of_the_model_may_be_called_like_parts(paint: Paint, tmp_path: Path) -> None:
    for name in ("train", "test"):
        paint(f"{name}/1.png")
    assert load_hold_out(tmp_path, class_names=("train", "test")).labels.tolist() == [1, 0]


def test_parts_are_no_hospitals_of_an_archive_either(tmp_path: Path) -> None:
    images = np.zeros((4, 3, 4, 1), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=[0, 1, 0, 1], sites=["train", "train", "test", "test"])
    with pytest.raises(DataError, match="look like parts of one data set"):
        list_sites(tmp_path / "data.npz")


@pytest.mark.parametrize(
    ("levels", "inside"),
    [
        (("class", "other"), "{kind}/{part}/1"),
        (("class", "patient"), "{kind}/{part}/1"),
        (("other", "class"), "{part}/{kind}/1"),
        (("patient", "class"), "{part}/{kind}/1"),
        (("class", "other"), "{kind}/ward/{part}/1"),
        (("site", "other", "class"), "north/{part}/{kind}/1"),
    ],
)
@pytest.mark.parametrize("parts", [("train", "test"), ("Muster_train", "Muster_test")])
def test_parts_at_a_level_of_no_class_are_trained_on_only_where_the_hospital_says_so(
    paint: Paint, tmp_path: Path, levels: tuple[str, ...], inside: str, parts: tuple[str, ...]
) -> None:
    for part in parts:
        for kind in ("red", "white"):
            paint(f"pictures/{inside.format(part=part, kind=kind)}.png")
            file = tmp_path / "dicom" / inside.format(part=part, kind=kind)
            file.parent.mkdir(parents=True, exist_ok=True)
            written(made([[0, 100], [200, 255]]), file)
    for kind in ("pictures", "dicom")[: 1 if "site" in levels else 2]:
        settings = DatasetSettings(data_path=str(tmp_path / kind), folder_levels=levels)
        with pytest.raises(DataError, match="test, train look like parts of one data set, and all of them") as caught:
            list_pictures(settings)
        assert "Muster" not in caught.value.public
        assert len(list_pictures(replace(settings, split="all")).pictures) == 4


def test_parts_of_a_dicom_source_whose_labels_are_an_attribute_are_refused_too(tmp_path: Path) -> None:
    for inside, view in (("train/1", "AP"), ("train/2", "PA"), ("test/1", "AP"), ("test/2", "PA")):
        (tmp_path / inside).parent.mkdir(exist_ok=True)
        written(made([[0, 100], [200, 255]], ViewPosition=view), tmp_path / inside)
    settings = DatasetSettings(data_path=str(tmp_path), labels_from="ViewPosition")
    with pytest.raises(DataError, match="test, train look like parts of one data set, and all of them"):
        list_pictures(settings)
    assert len(list_pictures(replace(settings, split="all")).pictures) == 4
    assert len(list_pictures(replace(settings, data_path=str(tmp_path / "train"))).pictures) == 2


@pytest.mark.parametrize("part", PART_ALONE)
def test_one_part_beside_hospitals_is_none_of_them(paint: Paint, tmp_path: Path, part: str) -> None:
    sites = ["hospital_a", "hospital_b", part]
    for name in sites:
        for kind in ("red", "white"):
            paint(f"all/{name}/{kind}/1.png")
    images = np.zeros((6, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "all.npz", images=images, labels=[0, 1] * 3, sites=np.repeat(sites, 2))
    for source in ("all", "all.npz"):
        with pytest.raises(DataError, match=rf"The name {part} is that of a part.*If it is a hospital's, rename it"):
            list_sites(tmp_path / source)
        with pytest.raises(DataError, match=rf"data set \({part}\), and a model is not to be measured"):
            load_hold_out(tmp_path / source)
    own = list_pictures(DatasetSettings(data_path=str(tmp_path / "all"), site=part))
    assert len(own.pictures) == 2, "a hospital that is called so, described by itself"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Neuer Ordner", "has the name that new folders get"),
        ("New folder (3)", "has the name that new folders get"),
        ("hospital_b - Copy", "the same patients would be at two hospitals"),
        ("hospital_a (2)", "the same patients would be at two hospitals"),
    ],
)
def test_a_hospital_that_a_system_named_is_none(paint: Paint, tmp_path: Path, name: str, message: str) -> None:
    sites = ["hospital_a", "hospital_b", name]
    for site in sites:
        for kind in ("red", "white"):
            paint(f"all/{site}/{kind}/1.png")
    np.savez(tmp_path / "all.npz", images=np.zeros((6, 8, 8), np.uint8), labels=[0, 1] * 3, sites=np.repeat(sites, 2))
    for source in ("all", "all.npz"):
        with pytest.raises(DataError, match=message):
            list_sites(tmp_path / source)
        for classes in (None, ("red", "white")):
            with pytest.raises(DataError, match=message):
                load_hold_out(tmp_path / source, class_names=classes)


def test_hospitals_whose_names_resemble_a_parts_are_hospitals(paint: Paint, tmp_path: Path) -> None:
    names = ["Teststadt", "Validation Clinic", "hospital_test", "Klinik (1)", "Klinik (2)", "Copia Clinic"]
    for name in names:
        for kind in ("red", "white"):
            paint(f"{name}/{kind}/1.png")
    assert list_sites(tmp_path) == sorted(names)


@pytest.mark.parametrize(
    "name",
    [
        "Neuer Ordner (2)",
        "New folder (3)",
        "untitled folder 2",
        "新建文件夹 (2)",
        "새 폴더",
        "مجلد جديد",
        "Folder baru 2",
        "Neuer Ordner - Kopie",
    ],
)
def test_a_further_folder_that_nobody_named_is_no_class(name: str) -> None:
    with pytest.raises(DataError, match="name that new folders get"):
        refuse_unnamed({"benign", "malignant", name})


@pytest.mark.parametrize(
    "name",
    [
        "benign (2)",
        "benign - Copy",
        "benign - Kopie (2)",
        "Benign copy 2",
        "Kopie von benign",
        "Copy (2) of benign",
        "benign副本",
        "benign.bak",
        "Benign_backup",
        "benign - Copy.bak",
        "benign_备份 (2)",
        "benign~",
        "benign~1",
        "benign.old",
        "benign.orig",
        "benign (Konflikt)",
        "benign (conflicted copy 2)",
        "benign (Anna's conflicted copy)",
        "benign (Case Conflict 1)",
        "benign.sync-conflict-3-ABCDEFG",
    ],
)
def test_a_copy_of_a_classs_folder_is_no_class_and_its_name_is_private(name: str) -> None:
    with pytest.raises(DataError, match="name that a copy of another class's folder gets") as caught:
        refuse_unnamed({"benign", "malignant", name})
    assert name in caught.value.private and "benign" not in caught.value.public.lower()


def test_names_that_only_resemble_a_copys_are_classes() -> None:
    refuse_unnamed({"grade (1)", "grade (2)", "hard copy", "photocopy", "copy number gain", "benign"})
    refuse_unnamed({"benign", "malignant.bak", "thumb fracture", "backup"})
    refuse_unnamed(
        {"fracture", "fracture old", "fracture_new", "grade~1", "grade~2", "rejection (conflict)", "trash can"}
    )


@pytest.mark.parametrize("name", ["Trash", "Papierkorb", "Recycle Bin", "corbeille", "回收站", "ごみ箱"])
def test_a_folder_of_what_was_thrown_away_is_no_class_and_no_hospital(paint: Paint, tmp_path: Path, name: str) -> None:
    for kind in ("red", "white", name):
        paint(f"flat/{kind}/1.png")
        paint(f"deep/{kind}/red/1.png")
    told = f"The folder {name} holds pictures and has the name of a folder for what was thrown away"
    with pytest.raises(DataError, match=told):
        list_pictures(DatasetSettings(data_path=str(tmp_path / "flat")))
    declared = list_pictures(DatasetSettings(data_path=str(tmp_path / "flat"), class_names=("red", "white", name)))
    assert declared.class_names == ("red", "white", name)
    with pytest.raises(DataError, match=told):
        list_sites(tmp_path / "deep")


@pytest.mark.parametrize("name", ["thumbnails", "Thumbs", "Vorschaubilder", "缩略图", "サムネイル", "previews"])
def test_a_folder_of_small_copies_is_no_class(paint: Paint, tmp_path: Path, name: str) -> None:
    for kind in ("red", "white", name):
        paint(f"{kind}/1.png")
    with pytest.raises(DataError, match=f"The folder {name} holds pictures and has the name of a folder of small cop"):
        list_pictures(DatasetSettings(data_path=str(tmp_path)))
    declared = list_pictures(DatasetSettings(data_path=str(tmp_path), class_names=("red", "white", name)))
    assert declared.class_names == ("red", "white", name)


def test_what_windows_saves_of_a_broken_disk_is_no_class(paint: Paint, tmp_path: Path) -> None:
    for inside in ("red/1.png", "white/1.png", "FOUND.000/FILE0000.png", "white/found.012/2.png"):
        paint(inside)
    found = list_pictures(DatasetSettings(data_path=str(tmp_path)))
    assert found.class_names == ("red", "white") and len(found.pictures) == 2
    assert [one.place for one in found.left_out] == ["FOUND.000", "white/found.012"]


@pytest.mark.parametrize("name", ["Neuer Ordner (2)", "red (2)"])
def test_sources_with_such_a_folder_are_refused_at_hospitals_and_as_hold_outs(
    paint: Paint, tmp_path: Path, name: str
) -> None:
    for kind in ("red", "white", name):
        paint(f"{kind}/1.png")
    with pytest.raises(DataError, match="would be a class"):
        list_pictures(DatasetSettings(data_path=str(tmp_path)))
    with pytest.raises(DataError, match="would be a class"):
        load_hold_out(tmp_path)
    declared = list_pictures(DatasetSettings(data_path=str(tmp_path), class_names=("red", "white", name)))
    assert declared.class_names == ("red", "white", name)


@pytest.mark.parametrize(
    ("patients", "kind"),
    [
        (("Muster_Anna_1961", "Beispiel_Bernd_1948"), "names"),
        (("Mueller, Hans", "Schmidt, Eva", "north"), "names"),
        (("PAT123456", "PAT123457"), "record numbers"),
    ],
)
def test_patients_with_a_folder_for_each_class_are_not_hospitals(
    paint: Paint, tmp_path: Path, patients: tuple[str, ...], kind: str
) -> None:
    for patient in patients:
        for label in ("benign", "malignant"):
            paint(f"{patient}/{label}/1.png")
    with pytest.raises(IdentitySuspected, match=f"folders that would be hospitals that look like {kind}") as caught:
        list_sites(tmp_path)
    assert patients[0] in caught.value.private and patients[0] not in caught.value.public
    assert '["patient", "class"]' in caught.value.public


@pytest.mark.parametrize(
    "hospitals",
    [
        ("St. Maria Klinik", "north", "south"),
        ("St. Anna", "Charité 2"),
        ("Anna Hospital", "Sankt Maria Mueller"),
        ("Mueller Clinic", "Anna Klinikum"),
    ],
)
def test_a_hospital_that_is_named_after_somebody_is_one(
    paint: Paint, tmp_path: Path, hospitals: tuple[str, ...]
) -> None:
    for hospital in hospitals:
        for label in ("benign", "malignant"):
            paint(f"{hospital}/{label}/1.png")
    assert list_sites(tmp_path) == sorted(hospitals)
