"""The text of a loss is refused unless every byte of it is what it must be."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.own_losses import costs, cross_entropy, findings, focal, loss_graph

from policies.errors import GraphError
from policies.graphs.losses.loss_graph import LossGraph, read_loss

LOSSES = [loss_graph(cross_entropy), loss_graph(focal), loss_graph(costs), loss_graph(findings, label_kind="multi")]


def changed(of: LossGraph, /, **fields: Any) -> str:
    return json.dumps(json.loads(of.to_json()) | fields, sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_reads_back_as_itself(loss: LossGraph) -> None:
    assert read_loss(loss.to_json()) == loss
    assert read_loss(loss.to_json()).digest() == loss.digest()


def test_the_digest_covers_every_part() -> None:
    loss = loss_graph(costs)
    others = [
        replace(loss, label_kind="multi"),
        replace(loss, num_classes=4),
        replace(loss, constants={}),
        replace(loss, nodes=loss.nodes[:-1]),
        replace(loss, nodes=(replace(loss.nodes[0], source="elsewhere"), *loss.nodes[1:])),
    ]
    assert len({loss.digest(), *(one.digest() for one in others)}) == 6


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_text_with_one_byte_changed_is_refused_or_another_loss(place: int, byte: int) -> None:
    loss = loss_graph(costs)
    text = loss.to_json()
    place %= len(text)
    other = text[:place] + chr(byte) + text[place + 1 :]
    try:
        read = read_loss(other)
    except GraphError:
        return
    assert read.to_json() == other
    assert (read == loss) == (other == text)


_NODE = {"operator": "relu", "inputs": ["output"], "attributes": {}, "source": ""}
_HUGE = {"0" * 64: {"kind": "float32", "shape": [125_001], "data": base64.b64encode(bytes(500_004)).decode()}}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"loss": 2}, "version 1"),
        ({"loss": True}, "version 1"),
        ({"label_kind": "grades"}, "label_kind must be one of single, multi"),
        ({"label_kind": ["single"]}, "label_kind must be one of"),
        ({"num_classes": 1}, "num_classes"),
        ({"num_classes": 1_001}, "num_classes"),
        ({"nodes": []}, "1 to 500 nodes"),
        ({"nodes": [_NODE] * 501}, "at most 500 nodes, this one has 501"),
        ({"nodes": [{**_NODE, "run": "code"}]}, "Unknown field 'run'"),
        ({"constants": _HUGE}, "more than 500,000 bytes"),
        ({"parameters": {"weight": [3]}}, "Unknown field 'parameters'"),
        ({"image_shape": [8, 8, 3]}, "Unknown field 'image_shape'"),
    ],
)
def test_a_field_that_is_not_what_it_must_be_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(GraphError, match=why):
        read_loss(changed(loss_graph(cross_entropy), **fields))


def test_a_text_too_long_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*arguments: object, **settings: object) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(json, "loads", parse)
    with pytest.raises(GraphError, match="at most 1,000,000 characters"):
        read_loss('{"operator":"relu"},' * 10_000_000)
    with pytest.raises(GraphError, match="parts"):
        read_loss("[" + "0," * 100_000 + "0]")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"loss":NaN}', "[" * 5_000, None, 5])
def test_what_is_no_loss_is_refused(text: Any) -> None:
    with pytest.raises(GraphError):
        read_loss(text)


def test_a_text_that_is_not_the_canonical_one_is_refused() -> None:
    text = loss_graph(cross_entropy).to_json()
    with pytest.raises(GraphError, match="canonical JSON"):
        read_loss(text.replace('"loss":1', '"loss": 1'))
