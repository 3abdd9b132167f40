"""Several studies on one page: what each reached at which price, who gained, and what cannot be compared."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from policies.errors import ConfigError
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.cli.program import main
from researcher.evaluation.evaluation import Evaluation
from researcher.reports.result import StudyResult, write_result
from researcher.reports.studies_page import cautions, gained, write_studies
from researcher.studies.history import History, PrivacySpent, RoundRecord

SECONDS = {"queue": 1.0, "transfer": 2.0, "train": 5.0, "aggregate": 0.5, "total": 30.0}
PLAN = TrainingPlan(
    study="first",
    dataset="smears",
    model=ModelSpec("small_cnn", (32, 32, 3), 2, {"width": 16}),
    rounds=3,
    steps_per_round=4,
    sample_rate=0.125,
    learning_rate=0.5,
    privacy=PrivacySpec(1.5, 1.0, 1e-5),
)


def record(number: int, **changes: Any) -> RoundRecord:
    values = {
        "round": number,
        "datasites": ("north", "south"),
        "test_accuracy": 0.5 + 0.125 * number,
        "macro_f1": 0.4 + 0.125 * number,
        "confusion": ((600, 200), (100, 300)),
        "seconds": SECONDS,
        "bytes_up": 1_000_000,
        "bytes_down": 2_000_000,
        "epsilon": {"north": 0.5 * number, "south": 0.75 * number},
    }
    return RoundRecord(**(values | changes))


def study(name: str = "first", **changes: Any) -> StudyResult:
    values = {
        "plan": dataclasses.replace(PLAN, study=name),
        "class_names": ("red", "white"),
        "parameters": 12345,
        "public_sizes": {"north": 100, "south": 300},
        "privacy": {"north": PrivacySpent(1.5, 1e-5, "picture"), "south": PrivacySpent(2.25, 1e-5, "picture")},
        "history": History([record(1), record(2), record(3)]),
        "local_only": {
            "north": Evaluation(0.625, 0.5, (0.5, 0.5), ((4, 4), (2, 2))),
            "south": Evaluation(0.875, 0.7, (0.7, 0.7), ((6, 2), (1, 3))),
        },
    }
    return StudyResult(**(values | changes))


def kept(folder: Path, result: StudyResult) -> Path:
    folder.mkdir()
    write_result(folder / "result.json", result)
    return folder


def test_the_command_writes_one_page_of_several_studies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = kept(tmp_path / "one", study())
    other = kept(tmp_path / "other", study("second", local_only={}))
    page = tmp_path / "studies.html"
    assert main(["report", str(one), str(other), "--html", str(page)]) == 0
    assert str(page) in capsys.readouterr().out
    text = page.read_text()
    assert "<script" not in text and not re.search(r"https?:", text.replace("http-equiv", ""))
    assert text.count("<svg") == 6
    assert "epsilon, highest" in text and "2.25" in text and "9.0 MB" in text and "1 min 30 s" not in text
    assert "1 of 2 hospitals gained: north." in text and "north gained most, +0.250." in text
    assert "1 of 2 hospitals neither gained nor lost by more than the hold-out&#x27;s pictures may make: south." in text
    assert "no training of a hospital alone" in text


def test_two_studies_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    folders = [kept(tmp_path / name, study()) for name in ("monday", "tuesday")]
    text = write_studies(tmp_path / "page.html", folders).read_text()
    assert str(folders[0]) in text and str(folders[1]) in text
    with pytest.raises(ConfigError, match="named twice"):
        write_studies(tmp_path / "page.html", [folders[0], tmp_path / "monday" / ".." / "monday"])
    with pytest.raises(ConfigError, match="nowhere"):
        write_studies(tmp_path / "page.html", [folders[0], tmp_path / "nowhere"])


def test_what_cannot_be_compared_is_said() -> None:
    assert list(cautions({"a": study(), "b": study("b")})) == []
    other_pictures = study(history=History([record(1, confusion=((6, 2), (1, 3)))]))
    assert "same hold-out" in next(cautions({"a": study(), "b": other_pictures}))
    other_classes = study(class_names=("red", "blue"))
    assert "same classes" in next(cautions({"a": study(), "b": other_classes}))
    by_patient = study(privacy={name: PrivacySpent(1.0, 1e-6, "patient") for name in ("north", "south")})
    told = next(cautions({"a": study(), "b": by_patient}))
    assert "per patient at delta 1e-6; per picture at delta 1e-5" in told
    public = study(privacy={"north": None, "south": None}, history=History([record(1, epsilon={})]))
    assert "Not differentially private: b" in " ".join(cautions({"a": study(), "b": public}))


def test_who_lost_is_said_too() -> None:
    told = list(gained({"north": -0.2, "south": 0.01}, 0.05))
    assert told[0] == "1 of 2 hospitals lost: north." and told[1].endswith("pictures may make: south.")
    assert "a difference up to 0.050" in told[2] and len(told) == 3


def test_options_of_one_study_and_of_several_do_not_mix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["report", "a", "b", "--counts", "c"]) == 2 and "--counts goes with one study" in capsys.readouterr().err
    )
    assert main(["report", "a", "--html", "c"]) == 2 and "--html goes with several" in capsys.readouterr().err
