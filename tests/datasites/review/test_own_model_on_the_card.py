"""A card says of an own model that it is one, how large it is, and what differs from the study's last approved one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.graphs import Builder
from support.hostile_texts import HOSTILE, raw_in
from support.own_models import own_graph, own_spec
from support.reviewed import PLAN, SHAPE, Reviewed, reviewed_datasite

from datasites.code_requests.request_index import RequestPage, RequestRow
from datasites.console.shown.review_card import review_card
from datasites.console.shown.tables import request_table
from datasites.review.page import read_page, signed_page
from datasites.review.record import record_of
from datasites.review.wording import computed
from datasites.rules.rule import flat
from policies.answers.plain_values import to_plain
from policies.graphs.graph import PICTURES, Graph
from policies.graphs.own_model import proof_of
from policies.graphs.summary import Layer, summary_of
from policies.ledger.receipt import public_key
from policies.plans.training import ModelSpec

GRAPH = own_graph(SHAPE)
OWN = replace(PLAN, study="own", model=own_spec(GRAPH))


def grown() -> Graph:
    """The same, with a ReLU more."""
    builder = Builder(SHAPE, 2)
    maps = builder.add("relu", builder.convolution(PICTURES, "stem", 1, 8))
    scale, shift = builder.parameter("norm.weight", 8), builder.parameter("norm.bias", 8)
    maps = builder.add("group_norm", maps, scale, shift, groups=2, eps=1e-5)
    maps = builder.add("multiply", builder.add("relu", maps), builder.parameter("gain", 1, 8, 1, 1))
    builder.head(maps, 8)
    return builder.graph()


@pytest.fixture(scope="module")
def datasite(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Iterator[Reviewed]:
    with reviewed_datasite(tmp_path_factory.mktemp("reviewed"), drawn) as made:
        made.books.limits.change({"model_sources": ["built_in", "graph"]}, by="tests", reason="own models")
        made.approve(made.request(OWN, name="approved before"))
        yield made


def test_a_graph_is_told_in_layers_and_operators() -> None:
    found = summary_of(proof_of(OWN.model))
    assert (found.operators, found.parameters) == (6, 80 + 16 + 8 + 18)
    assert found.kinds == dict.fromkeys(("conv2d", "group_norm", "linear", "mean", "multiply", "relu"), 1)
    assert [(one.name, one.operator, one.parameters) for one in found.layers] == [
        ("stem", "conv2d", 80),
        ("norm", "group_norm", 16),
        ("gain", "multiply", 8),
        ("head", "linear", 18),
    ]
    assert found.layers[0] == Layer("stem", "conv2d", "(B, 8, 8, 8)", 80, 8 * 8 * 8 * 9)
    assert found.multiplications == sum(node.multiplications for node in proof_of(OWN.model).nodes)


def test_the_card_says_that_the_network_is_the_researchers_own(datasite: Reviewed) -> None:
    review = datasite.review(datasite.request(replace(OWN, rounds=9)))
    assert review.model_from is not None
    assert review.model_from.text.startswith("The researcher's own model, not one of the platform's: a graph of 6 ")
    assert "122 trained numbers" in review.model_from.text
    assert review.computed is not None
    assert review.computed.text.startswith("Trains the researcher's own model on this hospital's pictures: ")
    assert not review.findings
    console = Console(width=160)
    with console.capture() as shown:
        console.print(review_card(to_plain(review)))
    own = next(line for line in shown.get().splitlines() if line.startswith("graph digest"))
    assert own.split()[2].rstrip("…")[:12] == GRAPH.digest()[:12]  # as `capture` told it
    assert GRAPH.digest() in json.dumps(to_plain(review))  # as --json tells it
    assert OWN.model.graph[:40] not in shown.get()
    assert review.own_model == summary_of(proof_of(OWN.model))
    row = next(line for line in shown.get().splitlines() if line.split()[:2] == ["stem", "conv2d"])
    assert row.split()[-2:] == ["80", "4,608"]
    assert "nearest built-in" in shown.get() and "none of its layers is one of a built-in model" in shown.get()
    part = next(line for line in shown.get().splitlines() if line.split()[:4] == ["stem", "…", "gain", "1"])
    assert "conv2d, group_norm, multiply, relu" in part and part.split()[-1] == "104"


def test_the_record_shows_the_network_as_a_picture_and_obeys_no_name(datasite: Reviewed) -> None:
    seed = bytes(range(32))
    request = datasite.request(replace(OWN, rounds=11), name="for the record")
    datasite.approve(request)
    made = record_of(datasite.review(request), datasite.books, datasite="north", public_key=public_key(seed))
    page = signed_page(made, seed)
    assert page.count('<rect class="part"') == 3 and '<text class="name" x="18" y="38">stem … gain</text>' in page
    assert "None of its layers is one of a built-in model." in page and "<th>gain</th>" in page
    assert f"<dt>Digest of the graph</dt><dd><code>{GRAPH.digest()}</code></dd>" in page
    assert read_page(page, public_key(seed)) == made
    own_model = made.review.own_model
    assert own_model is not None
    for text in HOSTILE.values():
        blocks = tuple(replace(one, name=text, makes=text, kinds={text: 1}) for one in own_model.blocks)
        layers = tuple(replace(one, name=text, operator=text, makes=text) for one in own_model.layers)
        named = replace(own_model, blocks=blocks, layers=layers, kinds={text: 1})
        assert not raw_in(signed_page(replace(made, review=replace(made.review, own_model=named)), seed))


def test_the_card_of_a_built_in_model_says_nothing_of_an_own_one(datasite: Reviewed) -> None:
    review = datasite.review(datasite.request(PLAN))
    assert review.own_model is None
    assert "own_model" not in to_plain(review)


def test_the_card_says_what_differs_from_the_studys_last_approved_graph(datasite: Reviewed) -> None:
    other = grown()
    review = datasite.review(datasite.request(replace(OWN, model=own_spec(other))))
    assert "graph" in [one.topic for one in review.findings]
    of_study = next(one for one in review.differences if one.of == "study")
    changed = {one.field: (one.before, one.now) for one in of_study.changed}
    assert changed["model.graph"] == (GRAPH.digest(), other.digest())
    assert changed["model.graph.operators"] == ("6", "7")
    assert changed["model.graph.operator.relu"] == ("relu: 1", "relu: 2")
    assert {one.what for one in of_study.changed if one.field.startswith("model.graph.operator.")} == {
        "operator of the own model, and how often"
    }
    assert "model.graph.parameters" not in changed
    assert "model.graph.operator.conv2d" not in changed
    assert not [name for name in changed if name.startswith("model.graph.layer")]


def wider(width: int, more: int = 0) -> Graph:
    """A stem of so many channels, and so many convolutions more."""
    builder = Builder(SHAPE, 2)
    maps = builder.convolution(PICTURES, "stem", 1, width)
    for number in range(more):
        maps = builder.convolution(maps, f"more.{number}", width, width)
    builder.head(maps, width)
    return builder.graph()


def test_the_card_names_the_layers_that_differ_up_to_a_number(datasite: Reviewed) -> None:
    study = replace(OWN, study="layers", model=own_spec(wider(4)))
    datasite.approve(datasite.request(study, name="before the layers differ"))
    review = datasite.review(datasite.request(replace(study, model=own_spec(wider(8, more=1)))))
    rows = {one.field: one for one in next(d for d in review.differences if d.of == "study").changed}
    stem, more = rows["model.graph.layer.stem"], rows["model.graph.layer.more.0"]
    assert (stem.before, stem.now) == ("stem: conv2d, (B, 4, 8, 8), 40", "stem: conv2d, (B, 8, 8, 8), 80")
    assert (stem.what, more.before) == ("layer of the own model", "–")
    review = datasite.review(datasite.request(replace(study, model=own_spec(wider(4, more=40)))))
    changed = next(d for d in review.differences if d.of == "study").changed
    assert sum(one.field.startswith("model.graph.layer.") for one in changed) == 30
    left_out = next(one for one in changed if one.field == "model.graph.layers")
    assert (left_out.before, left_out.now) == ("0", "10")
    kept = next(one for one in changed if one.field == "model.graph.kept_layers")
    assert (kept.what, kept.before, kept.now) == (
        "layers of the own model that are as before, in the same order",
        "2 / 2",
        "2 / 42",
    )


@pytest.mark.parametrize("changed", [{"dilation": [2, 2], "padding": [2, 2]}, {"padding": [1, 1]}], ids=str)
def test_a_layer_of_other_settings_is_none_as_before(datasite: Reviewed, changed: dict[str, list[int]]) -> None:
    """Two convolutions of the same shapes, of which the second reaches twice as far; or is the same."""

    def graph(**settings: list[int]) -> Graph:
        builder = Builder(SHAPE, 2)
        maps = builder.convolution(builder.convolution(PICTURES, "stem", 1, 4), "far", 4, 4, **settings)
        builder.head(builder.add("relu", maps) if settings else maps, 4)
        return builder.graph()

    study = replace(OWN, study=f"far-{len(changed)}", model=own_spec(graph()))
    datasite.approve(datasite.request(study, name=f"before it reaches far {len(changed)}"))
    review = datasite.review(datasite.request(replace(study, model=own_spec(graph(**changed)))))
    rows = {one.field: one for one in next(d for d in review.differences if d.of == "study").changed}
    kept = rows["model.graph.kept_layers"]
    assert (kept.before, kept.now) == (("2 / 3", "2 / 3") if "dilation" in changed else ("3 / 3", "3 / 3"))


def test_what_differs_from_one_request_is_told_once(datasite: Reviewed) -> None:
    study = replace(OWN, study="once", model=own_spec(wider(4)))
    datasite.approve(datasite.request(study, by="eve@example.org", name="the one before"), by="grace")
    later = datasite.request(replace(study, model=own_spec(wider(8))), by="eve@example.org")
    review = datasite.review(later)
    first, second = review.differences
    assert first.request_id == second.request_id
    console, seed = Console(width=160), bytes(range(32))
    with console.capture() as shown:
        console.print(review_card(to_plain(review)))
    assert shown.get().count("layer of the own model: stem") == 1
    assert "the same request" in shown.get()
    datasite.approve(later)
    page = signed_page(
        record_of(datasite.review(later), datasite.books, datasite="north", public_key=public_key(seed)), seed
    )
    assert page.split("<script")[0].count("That is the same request.") == 1


def test_layers_that_are_as_before_are_told_where_a_graph_differs_alone(datasite: Reviewed) -> None:
    study = replace(OWN, study="as-before", model=own_spec(wider(4)))
    datasite.approve(datasite.request(study, name="as before"))
    review = datasite.review(datasite.request(replace(study, rounds=3)))
    assert not [one.field for each in review.differences for one in each.changed if "kept_layers" in one.field]


def test_an_own_model_in_the_place_of_a_built_in_one_is_called_one(datasite: Reviewed) -> None:
    study = replace(PLAN, study="built-in-before")
    datasite.approve(datasite.request(study, name="a built-in model"))
    review = datasite.review(datasite.request(replace(study, model=OWN.model)))
    changed = {one.field: one for one in next(d for d in review.differences if d.of == "study").changed}
    assert (changed["model.name"].before, changed["model.name"].now) == (PLAN.model.name, "own model")
    assert (changed["model.graph.operators"].before, changed["model.graph.operators"].now) == ("–", "6")
    pieces = ("model.graph.operator.", "model.graph.layer")
    assert not [name for name in changed if name.startswith(pieces)]  # the card tells them where it shows the model
    datasite.approve(datasite.request(replace(study, model=OWN.model, rounds=3), name="the own model"))
    back = datasite.review(datasite.request(replace(study, rounds=4)))
    changed = {one.field: one for one in next(d for d in back.differences if d.of == "study").changed}
    assert (changed["model.graph.operators"].before, changed["model.graph.operators"].now) == ("6", "–")
    assert not [name for name in changed if name.startswith(pieces)]


def test_a_rule_knows_a_graph_by_its_digest() -> None:
    assert flat(OWN)["model.graph"] == GRAPH.digest()
    assert flat(replace(OWN, model=own_spec(grown())))["model.graph"] == grown().digest()
    assert "model.graph" not in flat(PLAN)


@pytest.mark.parametrize(
    "changes",
    [{}, {"privacy": None}, {"sample_rate": 1.0}, {"sampling": "random_allocation", "steps_per_round": 2}],
    ids=["drawn", "openly", "on all", "in passes"],
)
def test_whatever_it_computes_the_card_names_no_model_that_is_called_graph(changes: dict[str, Any]) -> None:
    own = replace(OWN, sample_rate=0.5) if "sampling" in changes else OWN
    told = computed(replace(own, **changes), "picture").text
    assert told.startswith("Trains the researcher's own model on this hospital's pictures") and "{" not in told
    built_in = replace(own, model=ModelSpec("small_cnn", OWN.model.image_shape, OWN.model.num_classes), **changes)
    assert told == computed(built_in, "picture").text.replace("the model small_cnn", "the researcher's own model")


def test_lists_of_requests_say_own_model() -> None:
    rows = [RequestRow(name * 16, "2026-11-27 12:00:00", "r@u.org", model=name) for name in ("graph", "linear")]
    console = Console(width=200)
    with console.capture() as shown:
        console.print(request_table(to_plain(RequestPage(tuple(rows), None, {"pending": 2}))))
    assert "own model" in shown.get() and "linear" in shown.get() and "  graph  " not in shown.get()
