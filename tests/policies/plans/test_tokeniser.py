"""The tokeniser is a fixed public rule: the same words give the same numbers everywhere, and nothing is learnt."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.errors import PlanError
from policies.plans.tokeniser import PADDING, TextForm, check_text, text_form, tokens, words
from policies.plans.training import ModelSpec

FORM = TextForm(length=4, vocabulary=100)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("No pneumothorax.", ["no", "pneumothorax"]),
        ("LEFT lung: 12.5 mm", ["left", "lung", "12", "5", "mm"]),
        ("未见气胸。", ["未见", "见气", "气胸"]),
        ("CT示肺结节3个", ["ct", "示肺", "肺结", "结节", "3", "个"]),
        ("ＣＴ　左肺", ["ct", "左肺"]),  # full-width letters and space are the usual ones
        ("naïve Straße", ["naïve", "strasse"]),
        ("nai\u0308ve", ["naïve"]),  # a letter and its mark, or one letter: the same word
        ("don't snake_case", ["don", "t", "snake", "case"]),
        ("。，—!?\n\t", []),
        ("", []),
    ],
)
def test_words_are_those_that_a_reader_would_part(report: str, expected: list[str]) -> None:
    assert list(words(report)) == expected


def test_a_words_number_is_its_blake2b_digest_among_the_numbers_that_are_not_padding() -> None:
    digest = hashlib.blake2b(b"lung", digest_size=8).digest()
    assert tokens(["lung"], FORM)[0, 0] == 1 + int.from_bytes(digest, "little") % 99


def test_reports_are_cut_and_filled_up_to_the_length() -> None:
    rows = tokens(["one two three four five", "one", "", "。"], FORM)
    assert rows.shape == (4, 4) and rows.dtype == np.int32
    assert (rows[0] != PADDING).all()
    assert rows[1].tolist() == [rows[0, 0], PADDING, PADDING, PADDING]
    assert (rows[2:] == PADDING).all()


@settings(max_examples=200, deadline=None)
@given(st.text(), st.lists(st.text(), max_size=3))
def test_a_reports_row_hangs_on_nothing_but_that_report(report: str, others: list[str]) -> None:
    (alone,) = tokens([report], FORM)
    assert np.array_equal(tokens([*others, report], FORM)[-1], alone)
    assert ((alone >= 0) & (alone < 100)).all()


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_padding_stands_only_after_the_last_word(report: str) -> None:
    (row,) = tokens([report], FORM)
    count = min(len(list(words(report))), 4)
    assert (row[:count] != PADDING).all() and (row[count:] == PADDING).all()


def test_another_process_with_another_hash_seed_gives_the_same_numbers() -> None:
    program = "from policies.plans.tokeniser import *; print(tokens(['No 气胸 seen'], TextForm(4, 1000)).tolist())"
    ends = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert ends[0] == ends[1] == f"{tokens(['No 气胸 seen'], TextForm(4, 1000)).tolist()}\n"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"length": 0, "vocabulary": 100}, "text_length"),
        ({"length": 1025, "vocabulary": 100}, "text_length"),
        ({"length": 4, "vocabulary": 1}, "vocabulary"),
        ({"length": 4, "vocabulary": 65537}, "vocabulary"),
        ({"length": 4, "vocabulary": 100, "tokeniser": "learnt"}, "tokeniser"),
        ({"length": 4}, "length, a vocabulary and a tokeniser"),
        ({"length": 4, "vocabulary": 100, "language": "en"}, "length, a vocabulary and a tokeniser"),
    ],
)
def test_a_form_out_of_range_is_refused_by_name(values: dict[str, object], named: str) -> None:
    with pytest.raises(PlanError, match=named):
        TextForm.from_dict(values)


def test_a_form_reads_back_from_its_plain_values_and_from_a_models_options() -> None:
    assert TextForm.from_dict(FORM.to_dict()) == FORM
    assert TextForm.from_dict(None) is None
    assert text_form(ModelSpec("image_text", (16, 16, 1), 2, FORM.options)) == FORM
    assert text_form(ModelSpec("small_cnn", (16, 16, 1), 2)) is None


def test_a_model_that_takes_reports_must_say_their_form() -> None:
    for name in FORM.options:
        options = {key: value for key, value in FORM.options.items() if key != name}
        with pytest.raises(PlanError, match=f"needs model.options.{name}"):
            text_form(ModelSpec("image_text", (16, 16, 1), 2, options))


def test_a_model_takes_the_reports_that_a_dataset_has_or_is_refused() -> None:
    reads, looks = ModelSpec("image_text", (16, 16, 1), 2, FORM.options), ModelSpec("small_cnn", (16, 16, 1), 2)
    check_text(reads, FORM)
    check_text(looks, FORM)
    check_text(looks, None)
    with pytest.raises(PlanError, match="the dataset has pictures alone"):
        check_text(reads, None)
    with pytest.raises(PlanError, match="are 8 words of 100, by hashed_words_1; the plan is for 4 words of 100"):
        check_text(reads, TextForm(8, 100))
