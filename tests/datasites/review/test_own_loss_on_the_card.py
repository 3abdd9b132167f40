"""A card says of an own loss that it is one, what it is made of, and what differs from the last one of its study."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from support.graphs import Builder
from support.hostile_texts import HOSTILE, raw_in
from support.own_losses import costs, cross_entropy, focal, loss_graph, own_objective
from support.reviewed import PLAN, Reviewed, reviewed_datasite

from datasites.console.shown.review_card import review_card
from datasites.review.page import read_page, signed_page
from datasites.review.record import record_of
from policies.answers.plain_values import to_plain
from policies.graphs.losses.loss_proof import prove_loss
from policies.graphs.losses.loss_summary import MOST_LINES, summary_of_loss
from policies.ledger.receipt import public_key

FOCAL = loss_graph(focal, num_classes=2)
OWN = replace(PLAN, study="own-loss", objective=own_objective(FOCAL))


@pytest.fixture(scope="module")
def datasite(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Iterator[Reviewed]:
    with reviewed_datasite(tmp_path_factory.mktemp("reviewed"), drawn) as made:
        made.books.limits.change({"model_sources": ["built_in", "graph"]}, by="tests", reason="own losses")
        made.approve(made.request(OWN, name="approved before"))
        yield made


def test_a_loss_is_told_in_operators() -> None:
    found = summary_of_loss(prove_loss(FOCAL))
    assert found.operators == 8 and found.multiplications == 2 + 2 + 5 + 1
    assert found.kinds == {"affine": 2, "exponential": 1, "log_softmax": 1, "multiply": 3, "sum": 1}


def test_a_loss_is_told_line_by_line_with_its_constants() -> None:
    proved = prove_loss(loss_graph(costs))
    assert summary_of_loss(proved).lines == (
        "c1 = float32 [3, 3]: 0, 1, 4, 1, 0, 1, 4, 1, 0",
        "v1 = matmul(label, c1)",
        "v2 = softmax(output, axis=1)",
        "v3 = multiply(v1, v2)",
        "v4 = sum(v3, axes=[1], keep=false)",
    )
    assert summary_of_loss(proved).further == 0


def test_a_long_loss_says_how_much_of_it_is_not_shown() -> None:
    def halved_often(b: Builder) -> None:
        made = cross_entropy(b)
        for _ in range(80):
            made = b.add("affine", made, factor=0.5, offset=0.0)

    found = summary_of_loss(prove_loss(loss_graph(halved_often)))
    assert len(found.lines) == MOST_LINES and found.further == 84 - MOST_LINES


def test_the_card_says_that_the_loss_is_the_researchers_own(datasite: Reviewed) -> None:
    review = datasite.review(datasite.request(replace(OWN, rounds=9)))
    assert review.own_loss == summary_of_loss(prove_loss(FOCAL))
    console = Console(width=160)
    with console.capture() as shown:
        console.print(review_card(to_plain(review)))
    assert "The researcher's own loss" in shown.get()
    assert "8: 2 affine, 1 exponential, 1 log_softmax, 3 multiply, 1 sum" in shown.get()
    assert FOCAL.digest()[:12] in shown.get()
    assert FOCAL.digest() in json.dumps(to_plain(review))  # as --json tells it
    assert "v4 = exponential(v3)" in shown.get()
    assert OWN.objective.loss_graph[:40] not in shown.get()


def test_the_record_tells_the_loss_reads_back_and_obeys_no_name(datasite: Reviewed) -> None:
    seed = bytes(range(32))
    request = datasite.request(replace(OWN, rounds=11), name="for the record")
    datasite.approve(request)
    made = record_of(datasite.review(request), datasite.books, datasite="north", public_key=public_key(seed))
    page = signed_page(made, seed)
    assert "own loss</h2>" in page and "3 multiply, 1 sum" in page
    assert "own outputs and label alone is proved" in page and "v4 = exponential(v3)" in page
    assert read_page(page, public_key(seed)) == made
    own_loss = made.review.own_loss
    assert own_loss is not None
    for text in HOSTILE.values():
        named = replace(own_loss, kinds={text: 1}, lines=(text,))
        assert not raw_in(signed_page(replace(made, review=replace(made.review, own_loss=named)), seed))


def test_the_card_of_a_built_in_loss_says_nothing_of_an_own_one(datasite: Reviewed) -> None:
    review = datasite.review(datasite.request(PLAN))
    assert review.own_loss is None
    assert "own_loss" not in to_plain(review)


def test_the_card_says_what_differs_from_the_studys_last_approved_loss(datasite: Reviewed) -> None:
    other = loss_graph(cross_entropy, num_classes=2)
    review = datasite.review(datasite.request(replace(OWN, objective=own_objective(other))))
    of_study = next(one for one in review.differences if one.of == "study")
    changed = {one.field: (one.what, one.before, one.now) for one in of_study.changed}
    assert changed["objective.loss_graph"] == ("own loss", FOCAL.digest(), other.digest())
    assert changed["objective.loss_graph.operators"][1:] == ("8", "4")
    told = "operator of the own loss, and how often"
    assert changed["objective.loss_graph.operator.multiply"] == (told, "multiply: 3", "multiply: 1")
    assert "objective.loss_graph.operator.sum" not in changed
    assert changed["objective.loss_graph.line.4"] == (
        "line of the own loss",
        "v4 = exponential(v3)",
        "v4 = affine(v3, factor=-1.0, offset=0.0)",
    )
    assert not any(OWN.objective.loss_graph[:40] in text for row in changed.values() for text in row)


def test_an_own_loss_in_the_place_of_a_built_in_one_is_not_told_line_by_line_once_more(datasite: Reviewed) -> None:
    study = replace(PLAN, study="built-in-before")
    datasite.approve(datasite.request(study, name="a built-in loss"))
    review = datasite.review(datasite.request(replace(study, objective=OWN.objective)))
    changed = {one.field: one for one in next(d for d in review.differences if d.of == "study").changed}
    assert (changed["objective.loss_graph.operators"].before, changed["objective.loss_graph.operators"].now) == (
        "–",
        "8",
    )
    assert not [
        name for name in changed if name.startswith(("objective.loss_graph.operator.", "objective.loss_graph.line"))
    ]
