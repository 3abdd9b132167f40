"""The text of a graph is refused unless every byte of it is what it must be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.graphs import Builder, small_graph

from policies.errors import GraphError, PlanError
from policies.graphs.graph import PICTURES, Graph
from policies.graphs.limits import LIMITS
from policies.graphs.proof import prove
from policies.graphs.reading import read_graph


def changed(of: Graph, /, **fields: Any) -> str:
    values = json.loads(of.to_json()) | fields
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def with_mask() -> Graph:
    builder = Builder()
    mask = builder.constant("float32", (1, 3, 8, 8), [0.5] * 192)
    builder.head(builder.convolution(builder.add("multiply", PICTURES, mask), "stem", 3, 8), 8)
    return builder.graph()


@pytest.mark.parametrize("graph", [small_graph(), with_mask()])
def test_a_graph_reads_back_as_itself(graph: Graph) -> None:
    assert read_graph(graph.to_json()) == graph
    assert read_graph(graph.to_json()).digest() == graph.digest()


def test_the_digest_covers_every_part() -> None:
    graph = with_mask()
    others = [
        replace(graph, image_shape=(8, 8, 1)),
        replace(graph, num_classes=5),
        replace(graph, parameters={**graph.parameters, "more": (1,)}),
        replace(graph, constants={}),
        replace(graph, nodes=graph.nodes[:-1]),
        replace(graph, nodes=(replace(graph.nodes[0], source="elsewhere"), *graph.nodes[1:])),
    ]
    assert len({graph.digest(), *(one.digest() for one in others)}) == 7


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_text_with_one_byte_changed_is_refused_or_another_graph(place: int, byte: int) -> None:
    graph = with_mask()
    text = graph.to_json()
    place %= len(text)
    other = text[:place] + chr(byte) + text[place + 1 :]
    try:
        read = read_graph(other)
    except GraphError:
        return
    assert read.to_json() == other
    assert (read == graph) == (other == text)


def test_a_text_too_long_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*arguments: object, **settings: object) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(json, "loads", parse)
    node = '{"attributes":{},"inputs":["node:0"],"operator":"relu","source":""}'
    with pytest.raises(GraphError, match="at most 12,000,000 characters"):
        read_graph("[" + ",".join([node] * 200_000) + "]")
    with pytest.raises(GraphError, match="at most 5,000 nodes, this one has 5,001"):
        read_graph("[" + ",".join([node] * 5_001) + "]")
    with pytest.raises(GraphError, match="at most 540,000 parts"):
        read_graph("[" + "0," * 1_000_000 + "0]")
    with pytest.raises(GraphError, match="parts"):
        read_graph("[" * 1_000_000)


def test_ten_million_nodes_are_refused_by_the_length_of_their_text() -> None:
    with pytest.raises(GraphError, match="characters"):
        read_graph('{"operator":"relu"},' * 10_000_000)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "JSON object"),
        ("[]", "JSON object, got list"),
        ("null", "JSON object"),
        ("[" * 5_000, "JSON object"),
        ("{}", "Missing field"),
        ('{"a":1,"a":2}', "once only"),
        ('{"a":NaN}', "finite"),
        ('{"a":1e999}', "finite"),
        ('{"a":' + "9" * 5_000 + "}", "JSON object"),
        ("\ud800", "JSON object"),
    ],
)
def test_what_is_no_graph_is_refused(text: str, why: str) -> None:
    with pytest.raises(GraphError, match=why):
        read_graph(text)


@pytest.mark.parametrize("text", [None, 5, b"{}"])
def test_what_is_no_text_is_refused(text: Any) -> None:
    with pytest.raises(GraphError, match="must be a text"):
        read_graph(text)


_NODE = {"operator": "relu", "inputs": ["pictures"], "attributes": {}, "source": ""}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"graph": 2}, "version 1"),
        ({"graph": True}, "version 1"),
        ({"more": 1}, "Unknown field 'more'"),
        ({"image_shape": [8, 8]}, "height, width, channels"),
        ({"image_shape": [8, 8, 0]}, "from 1 to 4"),
        ({"image_shape": [8, 1 << 70, 3]}, "from 1 to 4096"),
        ({"num_classes": 1}, "from 2"),
        ({"num_classes": 4.0}, "whole number"),
        ({"parameters": {"a b": [1]}}, "named by words"),
        ({"parameters": {"a" * 201: [1]}}, "named by words"),
        ({"parameters": {"a" + ".a" * 16: [1]}}, "named by words"),
        ({"parameters": {"__class__.x\n": [1]}}, "named by words"),
        ({"parameters": {"a": [1], "a.b": [1]}}, "like a module"),
        ({"parameters": {"a": [0]}}, "from 1"),
        ({"parameters": {"a": [-1]}}, "from 1"),
        ({"parameters": {"a": [True]}}, "whole number"),
        ({"parameters": {"a": [1 << 62, 1 << 62]}}, "from 1 to 16777216"),
        ({"parameters": {"a": [1 << 24, 1 << 24]}}, "the limit is 100,000,000"),
        ({"parameters": {"a": [1] * 9}}, "at most 8"),
        ({"parameters": []}, "JSON object"),
        ({"constants": {"0" * 64: {"data": "AA==", "kind": "bool", "shape": [2]}}}, "must have 2 bytes"),
        ({"constants": {"0" * 64: {"data": "AA==", "kind": "bool", "shape": [1]}}}, "named by the SHA-256"),
        ({"constants": {"0" * 64: {"data": "A A=", "kind": "bool", "shape": [1]}}}, "Base64"),
        ({"constants": {"0" * 64: {"data": 5, "kind": "bool", "shape": [1]}}}, "Base64"),
        ({"constants": {"0" * 64: {"data": "AA==", "kind": "object", "shape": [1]}}}, "one of float32"),
        ({"constants": {"0" * 64: {"data": "AA=="}}}, "Missing field"),
        ({"constants": {"0" * 64: {"data": "A" * 11_000_000, "kind": "bool", "shape": [1]}}}, "8,000,000 bytes"),
        ({"nodes": []}, "1 to 5,000"),
        ({"nodes": ["relu"]}, "JSON object"),
        ({"nodes": [_NODE | {"code": "x"}]}, "Unknown field 'code'"),
        ({"nodes": [_NODE | {"inputs": "pictures"}]}, "list of at most"),
        ({"nodes": [_NODE | {"inputs": ["pictures"] * 257}]}, "list of at most"),
        ({"nodes": [_NODE | {"inputs": [5]}]}, "characters"),
        ({"nodes": [_NODE | {"source": "x" * 201}]}, "at most 200"),
        ({"nodes": [_NODE | {"source": "a\nb"}]}, "one line"),
        ({"nodes": [_NODE | {"operator": "\u202erelu"}]}, "one line"),
        ({"nodes": [_NODE | {"attributes": {"a": "text"}}]}, "must be a number"),
        ({"nodes": [_NODE | {"attributes": {"a": {"b": 1}}}]}, "must be a number"),
        ({"nodes": [_NODE | {"attributes": {"a": [[[1]]]}}]}, "must be a number"),
        ({"nodes": [_NODE | {"attributes": {"A\n": 1}}]}, "names of a-z"),
    ],
)
def test_a_graph_with_a_part_that_is_wrong_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(GraphError, match=why):
        read_graph(changed(small_graph(), **fields))


def test_constants_hold_finite_numbers_and_whole_truth() -> None:
    builder = Builder()
    builder.constant("float32", (1,), [float("nan")])
    with pytest.raises(GraphError, match="not finite"):
        read_graph(builder.graph().to_json().replace('"nodes":[]', f'"nodes":[{json.dumps(_NODE, sort_keys=True)}]'))
    graph = with_mask()
    (constant,) = graph.constants.values()
    odd = replace(constant, kind="bool", shape=(768,), data=b"\x02" * 768)
    with pytest.raises(GraphError, match="neither 0 nor 1"):
        read_graph(replace(graph, constants={odd.digest: odd}).to_json())


def test_base64_that_is_not_canonical_is_refused() -> None:
    builder = Builder()
    builder.constant("bool", (1,), [True])
    graph = replace(small_graph(), constants=builder.constants)
    text = graph.to_json()
    assert '"AQ=="' in text
    with pytest.raises(GraphError, match="canonical"):
        read_graph(text.replace('"AQ=="', '"AR=="'))


def test_spaces_and_another_order_are_refused() -> None:
    text = small_graph().to_json()
    for other in (
        text + "\n",
        json.dumps(json.loads(text)),
        text.replace('"constants":{},', "", 1)[:-1] + ',"constants":{}}',
    ):
        with pytest.raises(GraphError, match="canonical"):
            read_graph(other)


def test_a_graph_error_is_a_plan_error_with_its_own_code() -> None:
    assert issubclass(GraphError, PlanError)
    assert GraphError.code == "WW102"


def test_no_limit_can_be_exceeded_by_a_graph_that_is_read_and_proved() -> None:
    graph = small_graph()
    proof = prove(read_graph(graph.to_json()))
    for field, least in {
        "nodes": len(graph.nodes),
        "parameters": len(graph.parameters),
        "parameter_numbers": proof.parameter_numbers,
        "multiplications": proof.multiplications,
        "activation_numbers": proof.activation_numbers,
        "characters": len(graph.to_json()),
    }.items():
        fits = replace(LIMITS, **{field: least})
        prove(read_graph(graph.to_json(), fits), fits)
        with pytest.raises(GraphError):
            tight = replace(LIMITS, **{field: least - 1})
            prove(read_graph(graph.to_json(), tight), tight)


def test_letters_of_an_operator_that_only_look_like_others_are_told_by_their_numbers() -> None:
    text = small_graph().to_json().replace('"relu"', '"r\\u0435lu"')
    with pytest.raises(GraphError, match=r"letters that only look like others: 'r\\u0435lu'"):
        read_graph(text)


def test_a_constant_that_is_refused_is_named_by_the_beginning_of_its_digest() -> None:
    text = changed(small_graph(), constants={"0" * 64: {"data": "AAAA", "kind": "float32", "shape": [1]}})
    with pytest.raises(GraphError, match=r"constants 0{16}… must have 4 bytes"):
        read_graph(text)
