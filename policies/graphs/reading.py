"""Reads the text of a graph, which somebody outside wrote: each byte of it is checked, and none of it is run."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from policies.errors import GraphError
from policies.graphs.attributes import CHECKS
from policies.graphs.graph import BYTES, GRAPH_VERSION, Constant, Graph, Node
from policies.graphs.limits import LIMITS, MOST_AXES, MOST_OF_AN_AXIS, MOST_SOURCE_CHARACTERS, GraphLimits
from policies.graphs.values import KINDS
from policies.untrusted_text import shown

# Parts that a text may have for each node that is allowed: what a reader makes of a text grows with its parts.
_PARTS_OF_A_NODE = 60
_MOST_INPUTS = 256
_MOST_NAME = 200
_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+){0,15}")
_ATTRIBUTE = re.compile(r"[a-z_]{1,40}")
_FIELDS = ("constants", "graph", "image_shape", "nodes", "num_classes", "parameters")


def read_graph(text: str, limits: GraphLimits = LIMITS) -> Graph:
    """Reads a graph back from its text.

    Guarantees:
        What it returns is as large as `limits` allow at most, holds plain numbers and texts alone, and has exactly this
        text. Whether its operators exist, fit and keep pictures apart is for `proof.prove`.

    Args:
        text: What `Graph.to_json` wrote.
        limits: How large it may be; a text that is larger is refused before it is parsed.

    Raises:
        GraphError: Too long, not canonical JSON, an unknown or missing field, a value of the wrong form.
    """
    values = parsed(text, limits)
    check_fields("graph", values, _FIELDS)
    if values["graph"] != GRAPH_VERSION or isinstance(values["graph"], bool):
        raise GraphError(f"Expected a graph of version {GRAPH_VERSION}, got {shown(values['graph'], most=40)}.")
    graph = Graph(
        image_shape=_image_shape(values["image_shape"]),
        num_classes=CHECKS.integer("num_classes", values["num_classes"], low=2, high=10_000),
        parameters=_parameters(values["parameters"], limits),
        constants=constants_of(values["constants"], limits),
        nodes=nodes_of(values["nodes"], limits),
    )
    if graph.to_json() != text:
        raise GraphError("A graph must be canonical JSON as its to_json() writes it: keys sorted, no spaces.")
    return graph


def parsed(text: str, limits: GraphLimits) -> Mapping[str, Any]:
    """The JSON object that a text holds, of whose values nothing is checked yet.

    Guarantees:
        A text that is larger than `limits` allow is refused before it is parsed.

    Raises:
        GraphError: Too long, no JSON object, a name that comes twice, a number that is not finite.
    """
    if not isinstance(text, str):
        raise GraphError(f"A graph must be a text, got {type(text).__name__}.")
    if len(text) > limits.characters:
        raise GraphError(
            f"A graph has at most {limits.characters:,} characters, this one has {len(text):,}. Capture a model of "
            "smaller constants."
        )
    nodes = text.count('"operator"')
    if nodes > limits.nodes:
        raise GraphError(
            f"A graph has at most {limits.nodes:,} nodes, this one has {nodes:,}. Capture a network of fewer: a "
            "recurrent layer has some for each step, so let it take fewer steps."
        )
    parts, most = sum(text.count(mark) for mark in ",[{"), _PARTS_OF_A_NODE * (limits.nodes + limits.parameters)
    if parts > most:
        raise GraphError(f"A graph's text has at most {most:,} parts, this one has {parts:,}. Capture a smaller model.")
    try:
        values = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_without_repeats
        )
    except (ValueError, RecursionError) as error:
        raise GraphError("A graph must be a JSON object as its to_json() writes it.") from error
    if not isinstance(values, dict):
        raise GraphError(f"A graph must be a JSON object, got {type(values).__name__}.")
    return values


def _image_shape(value: Any) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3:
        raise GraphError(f"image_shape must be [height, width, channels], got {shown(value, most=80)}.")
    named = zip(("height", "width", "channels"), value, (4096, 4096, 4), strict=True)
    height, width, channels = (CHECKS.integer(f"image_shape {n}", size, low=1, high=high) for n, size, high in named)
    return height, width, channels


def _parameters(values: Any, limits: GraphLimits) -> dict[str, tuple[int, ...]]:
    _check_table("parameters", values, limits.parameters)
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in values.items():
        if len(name) > _MOST_NAME or not _NAME.fullmatch(name):
            raise GraphError(
                f"Parameter {shown(name, most=60)!r} must be named by words of A-Z, a-z, 0-9 and '_' between dots, "
                f"of at most {_MOST_NAME} characters."
            )
        found[name] = _shape(f"parameters {name}", shape)
    holders = {name[:end] for name in found for end in range(len(name)) if name[end] == "."}
    if both := sorted(holders & set(found)):
        raise GraphError(f"Parameter {both[0]!r} is named like a module that holds parameters. Rename one of them.")
    total = sum(math.prod(shape) for shape in found.values())
    if total > limits.parameter_numbers:
        raise GraphError(
            f"The parameters have {total:,} numbers; the limit is {limits.parameter_numbers:,}. Capture a smaller "
            "model."
        )
    return found


def constants_of(values: Any, limits: GraphLimits) -> dict[str, Constant]:
    """Constants from plain values.

    Raises:
        GraphError: Too many or too large, another form, another name than their digest, numbers that are not finite.
    """
    _check_table("constants", values, limits.nodes)
    found: dict[str, Constant] = {}
    total = 0
    for name, one in values.items():
        where = f"constants {shown(name[:16], most=16)}…"
        check_fields(where, one, ("data", "kind", "shape"))
        kind = CHECKS.choice(f"{where}.kind", one["kind"], KINDS)
        constant = Constant(kind, _shape(f"{where}.shape", one["shape"]), _bytes(where, one["data"]))
        total += len(constant.data)
        if total > limits.constant_bytes:
            raise GraphError(
                f"The constants have more than {limits.constant_bytes:,} bytes, which is the limit. What is large "
                "belongs into a parameter, whose numbers come with the rounds."
            )
        if not constant.is_whole():
            raise GraphError(
                f"{where} must have {math.prod(constant.shape) * BYTES[kind]:,} bytes, as its shape and kind say; it "
                f"has {len(constant.data):,}."
            )
        if constant.digest != name:
            raise GraphError(f"{where} must be named by the SHA-256 of what it holds, {constant.digest[:16]}….")
        _check_numbers(where, constant)
        found[name] = constant
    return found


def nodes_of(values: Any, limits: GraphLimits) -> tuple[Node, ...]:
    """Nodes from plain values.

    Raises:
        GraphError: None, too many, or another form.
    """
    if not isinstance(values, list) or not 1 <= len(values) <= limits.nodes:
        raise GraphError(f"nodes must be a list of 1 to {limits.nodes:,} nodes.")
    found = []
    for number, one in enumerate(values):
        where = f"node {number}"
        check_fields(where, one, ("attributes", "inputs", "operator", "source"))
        operator = CHECKS.text(f"{where}.operator", one["operator"], most=64)
        if not operator.isascii():
            raise GraphError(f"{where}.operator holds letters that only look like others: {operator!a}.")
        inputs = one["inputs"]
        if not isinstance(inputs, list) or len(inputs) > _MOST_INPUTS:
            raise GraphError(f"{where}.inputs must be a list of at most {_MOST_INPUTS} names.")
        names = tuple(CHECKS.text(f"{where}.inputs", name, most=_MOST_NAME + 20) for name in inputs)
        _check_attributes(where, one["attributes"])
        source = CHECKS.text(f"{where}.source", one["source"], most=MOST_SOURCE_CHARACTERS)
        found.append(Node(operator, names, one["attributes"], source))
    return tuple(found)


def _check_attributes(where: str, values: Any) -> None:
    """Plain numbers, and lists of them; what each must be is for its operator to say."""
    if not isinstance(values, dict) or not all(_ATTRIBUTE.fullmatch(name) for name in values):
        raise GraphError(f"{where}.attributes must be a JSON object, its names of a-z and '_'.")
    for name, value in values.items():
        entries = value if isinstance(value, list) else [value]
        flat = [part for entry in entries for part in (entry if isinstance(entry, list) else [entry])]
        if not all(isinstance(part, int | float) or part == "B" for part in flat):
            raise GraphError(f"{where}.attributes {name} must be a number, true or false, or a list of numbers.")


def _bytes(where: str, value: Any) -> bytes:
    if not isinstance(value, str):
        raise GraphError(f"{where}.data must be Base64, got {type(value).__name__}.")
    try:
        data = base64.b64decode(value.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise GraphError(f"{where}.data must be Base64.") from error
    return data


def _check_numbers(where: str, constant: Constant) -> None:
    if constant.kind == "float32" and not all(map(math.isfinite, memoryview(constant.data).cast("f"))):
        raise GraphError(f"{where} holds numbers that are not finite. A mask may use -10000 in place of -infinity.")
    if constant.kind == "bool" and not set(constant.data) <= {0, 1}:
        raise GraphError(f"{where} holds bytes that are neither 0 nor 1.")


def _shape(field: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > MOST_AXES:
        raise GraphError(f"{field} must be a list of at most {MOST_AXES} lengths.")
    return tuple(CHECKS.integer(f"{field}[{axis}]", s, low=1, high=MOST_OF_AN_AXIS) for axis, s in enumerate(value))


def _check_table(field: str, values: Any, most: int) -> None:
    if not isinstance(values, dict) or len(values) > most:
        got = f"{len(values):,}" if isinstance(values, dict) else type(values).__name__
        raise GraphError(f"{field} must be a JSON object of at most {most:,} entries, got {got}.")


def check_fields(where: str, values: Any, fields: tuple[str, ...]) -> None:
    """Refuses what is no JSON object of exactly these fields.

    Raises:
        GraphError: Which field is missing or unknown.
    """
    if not isinstance(values, Mapping):
        raise GraphError(f"{where} must be a JSON object, got {type(values).__name__}.")
    if wrong := sorted(set(values) ^ set(fields)):
        kind = "Missing" if wrong[0] in fields else "Unknown"
        raise GraphError(f"{kind} field {shown(wrong[0], most=60)!r} in {where}; it has {', '.join(fields)}.")


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise GraphError("A graph may name each field once only; one comes twice.")
    return values


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise GraphError("A graph may not hold a number beyond every float; every number must be finite.")
    return number


def _refuse_constant(constant: str) -> float:
    raise GraphError(f"A graph may not hold {constant}; every number must be finite.")
