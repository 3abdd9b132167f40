"""What an exported model's file says of itself: read back as it was written, and refused in any other form."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from support.exported_models import ABOUT
from support.graphs import small_graph

from policies.errors import ModelRefused, PlanError
from policies.plans.graph.packed_graph import pack
from policies.plans.picture_form import PictureForm
from researcher.exported.about import PREFIX, PROMISE, ExportedModel, PrivacyCost, Quantisation

PAGE = Path(__file__).resolve().parents[3] / "docs" / "ref-exported-models.md"
REPORTS = {"text_length": 8, "tokeniser": "hashed_words_1", "vocabulary": 64, "picture_encoder": "small_cnn"}
OWN = replace(ABOUT, name="graph", options={}, graph=pack(small_graph().to_json()))


@pytest.mark.parametrize(
    "about",
    [
        ABOUT,
        replace(ABOUT, form=None, privacy=(), receipts=(), likeness=None, label_kind="multi"),
        replace(ABOUT, name="image_text", options=REPORTS),
        OWN,
        replace(ABOUT, format="onnx-int8", quantisation=Quantisation("drawn pictures", 64, 3, ("conv_1",), 0.25)),
    ],
    ids=["plain", "bare", "reports", "own", "int8"],
)
def test_what_was_written_reads_back_the_same(about: ExportedModel) -> None:
    assert ExportedModel.from_properties({**about.to_properties(), "other.program": "[broken"}) == about


def test_every_field_is_a_property_and_stands_on_its_page() -> None:
    properties = set(replace(OWN, gram=("5" * 64,), gram_unnamed=True).to_properties())
    later = {f"{PREFIX}{name}" for name in ("graph", "gram", "gram_unnamed")}
    assert set(ABOUT.to_properties()) == properties - later
    assert properties == {PREFIX + one.name for one in fields(ExportedModel)} | {PROMISE}
    text = PAGE.read_text()
    assert [name for name in sorted(properties) if f"| `{name}` |" not in text] == []


def test_a_graph_that_cannot_be_unpacked_is_refused() -> None:
    with pytest.raises(ModelRefused, match="changed"):
        ExportedModel.from_properties({**OWN.to_properties(), "wanwu.graph": '"AAAA"'})


@pytest.mark.parametrize("name", sorted(ABOUT.to_properties()))
def test_a_property_that_is_gone_cut_or_changed_is_refused(name: str) -> None:
    given = ABOUT.to_properties()
    with pytest.raises(ModelRefused):
        ExportedModel.from_properties({key: value for key, value in given.items() if key != name})
    for other in (given[name][:-1], given[name] + " ", "null " if given[name] != "null" else "[]", "{", "9" * 5000):
        with pytest.raises(ModelRefused):
            ExportedModel.from_properties({**given, name: other})


def test_a_property_that_is_not_declared_is_refused() -> None:
    with pytest.raises(ModelRefused, match="declare"):
        ExportedModel.from_properties({**ABOUT.to_properties(), "wanwu.more": "1"})


def test_a_file_of_another_program_is_named_as_that_and_one_of_a_later_version_too() -> None:
    with pytest.raises(ModelRefused, match="says nothing of itself"):
        ExportedModel.from_properties({"producer": "somebody"})
    with pytest.raises(ModelRefused, match="has version '2', this program reads 1"):
        ExportedModel.from_properties({**ABOUT.to_properties(), "wanwu.version": "2"})


def test_the_promise_is_the_worst_of_the_hospitals_and_none_where_one_trained_without() -> None:
    assert "at most epsilon 2.50 at delta 1e-5 per patient" in ABOUT.promise
    both = replace(ABOUT, privacy=(*ABOUT.privacy, PrivacyCost(0.5, 1e-6, "picture")))
    assert "epsilon 2.50 at delta 1e-5 per patient and epsilon 0.50 at delta 1e-6 per picture" in both.promise
    assert "nothing is promised" in replace(ABOUT, without_privacy=1).promise
    assert "not known" in replace(ABOUT, privacy=()).promise


def test_a_form_of_another_size_and_classes_that_a_terminal_would_obey_are_refused() -> None:
    with pytest.raises(PlanError, match="form must be of pictures"):
        replace(ABOUT, form=PictureForm((8, 8), 1))
    with pytest.raises(ModelRefused):
        ExportedModel.from_properties({**ABOUT.to_properties(), "wanwu.class_names": '["dark","\\u001b[2J"]'})


def test_files_are_stretched_to_the_size_where_no_form_was_declared_and_refused_for_other_channels() -> None:
    assert ABOUT.picture_form == PictureForm((16, 16), 1, "fit")
    assert replace(ABOUT, form=None).picture_form == PictureForm((16, 16), 1)
    with pytest.raises(ModelRefused, match="no picture file"):
        _ = replace(ABOUT, form=None, image_shape=(16, 16, 4)).picture_form
