"""A plan carries the whole graph of an own model: its digest covers every byte, and a bound holds before it is read."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from dataclasses import replace

import pytest
from support.own_models import altered, own_graph, own_spec, packed_bytes, spec_of_text

from policies.errors import GraphError, PlanError
from policies.plans.graph.packed_graph import MAX_PACKED_CHARACTERS, MAX_TEXT_CHARACTERS, pack, unpack
from policies.plans.kinds import parse
from policies.plans.plan_json import MAX_CHARACTERS, settings
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

GRAPH = own_graph()
PLAN = TrainingPlan("own", "pictures", own_spec(GRAPH), 2, 1, 0.1, 0.5, privacy=PrivacySpec(2.0, 1.0, 1e-5))


def test_a_plan_with_an_own_model_reads_back_as_itself() -> None:
    assert parse(PLAN.to_json()) == PLAN
    assert pickle.loads(pickle.dumps(PLAN)) == PLAN
    assert unpack(PLAN.model.graph) == GRAPH.to_json()


def test_the_digest_of_a_plan_covers_every_byte_of_its_graph() -> None:
    text = GRAPH.to_json()
    places = range(0, len(text), 7)
    others = {
        replace(PLAN, model=spec_of_text(text[:at] + chr(33 + ord(text[at]) % 90) + text[at + 1 :])).digest()
        for at in places
    }
    assert len(others) == len(places)
    assert PLAN.digest() not in others


def test_a_plan_of_a_built_in_model_says_nothing_of_a_graph() -> None:
    plan = replace(PLAN, model=ModelSpec("small_cnn", (16, 16, 1), 2))
    assert "graph" not in json.loads(plan.to_json())["model"]
    assert "graph" not in settings(plan)["model"]


def test_people_are_told_the_digest_that_capture_prints() -> None:
    assert settings(PLAN)["model"]["graph"] == GRAPH.digest()


def test_a_graph_of_few_bytes_that_unfolds_to_many_is_refused() -> None:
    packed = packed_bytes(b"[" * (MAX_TEXT_CHARACTERS + 1))
    assert len(packed) < MAX_PACKED_CHARACTERS
    with pytest.raises(GraphError, match=r"at most 12,000,000 characters"):
        ModelSpec("graph", (16, 16, 1), 2, graph=packed)
    with pytest.raises(GraphError, match="Capture a smaller model"):
        pack("[" * (MAX_TEXT_CHARACTERS + 1))


@pytest.mark.parametrize(
    "packed",
    [
        "not Base64!",
        "AAAA",
        7,
        packed_bytes(b"{}")[:-4],
        base64.b64encode(zlib.compress(b"{}") + b"more").decode(),
        packed_bytes("ü".encode()),
        "A" * (MAX_PACKED_CHARACTERS + 4),
    ],
)
def test_what_is_no_packed_graph_is_refused(packed: object) -> None:
    with pytest.raises(GraphError, match=r"model\.graph"):
        ModelSpec("graph", (16, 16, 1), 2, graph=packed)  # type: ignore[arg-type]


def test_a_graph_can_be_spelled_in_base64_in_one_way_only() -> None:
    spelled = next(one for one in map(packed_bytes, (b"{}", b"{ }", b"{  }")) if one.endswith("="))
    last = spelled.rstrip("=")[-1]
    same = spelled.replace(f"{last}=", f"{chr(ord(last) + 1)}=") if last not in "Zz9+/" else ""
    if same and base64.b64decode(same) == base64.b64decode(spelled):
        with pytest.raises(GraphError):
            unpack(same)
    assert unpack(spelled).startswith("{")


def test_a_graph_and_the_name_graph_go_together() -> None:
    with pytest.raises(PlanError, match="go together"):
        ModelSpec("graph", (16, 16, 1), 2)
    with pytest.raises(PlanError, match="go together"):
        replace(PLAN.model, name="small_cnn")
    with pytest.raises(PlanError, match=r"takes no model\.options"):
        replace(PLAN.model, options={"width": 4})


def test_beside_its_graph_a_plan_is_as_short_as_any_other() -> None:
    values = json.loads(PLAN.to_json())
    values["study"] = "a" * MAX_CHARACTERS
    with pytest.raises(PlanError, match="at most 20000 characters"):
        parse(json.dumps(values))
    text = altered(GRAPH, lambda graph: graph["nodes"][0].update(source="x" * 100))
    assert parse(replace(PLAN, model=spec_of_text(text)).to_json())


def test_a_plan_beyond_any_bound_is_refused_unread() -> None:
    with pytest.raises(PlanError, match="at most 20000 characters"):
        parse("[" * 1_000_000)
