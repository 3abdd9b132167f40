"""The parser builds what its list names, and looks at nothing else. Messages here are nested lists of words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from policies.contracts.admitted_types import MAX_DEPTH, Admitted, Parser
from policies.errors import MessageRefused


@dataclass
class Message:
    canonicalName: str
    version: int = 1
    fieldsName: list[str] = field(default_factory=list)
    nonrecursiveBlob: list[bytes] = field(default_factory=list)
    inner: str = ""


@pytest.fixture
def built() -> list[str]:
    return []


@pytest.fixture
def parser(built: list[str]) -> Parser:
    @contextmanager
    def read(blob: bytes) -> Iterator[Message]:
        values = json.loads(blob)
        yield Message(**{**values, "nonrecursiveBlob": [text.encode() for text in values.get("nonrecursiveBlob", [])]})

    def build(message: Message) -> Any:
        built.append(message.canonicalName)
        return parser.from_bytes(message.inner.encode()) if message.inner else message.canonicalName

    admitted = Admitted.of("Call type", named="str Kept:2")
    parser = Parser(
        admitted, read=read, build=build, declared=lambda name: {"path", "args"} if name == "Call" else None
    )
    return parser


def sent(name: str, **values: Any) -> bytes:
    return json.dumps({"canonicalName": name, **values}).encode()


def test_a_named_type_is_built(parser: Parser, built: list[str]) -> None:
    assert parser.from_bytes(sent("Call", fieldsName=["path", "args"])) == "Call"
    assert parser.from_bytes(sent("int")) == "int"
    assert built == ["Call", "int"]


@pytest.mark.parametrize(
    "refused",
    [
        sent("Elsewhere"),
        sent("Call", version=2),
        sent("Call", fieldsName=["path", "cached"]),
        sent("Call", fieldsName=["path", "path"]),
        sent("type", nonrecursiveBlob=["Elsewhere:1"]),
        sent("type", nonrecursiveBlob=["str:2"]),
        sent("type", nonrecursiveBlob=["Kept:1"]),
    ],
)
def test_what_the_list_does_not_name_is_not_built(parser: Parser, built: list[str], refused: bytes) -> None:
    with pytest.raises(MessageRefused):
        parser.from_bytes(refused)
    assert built == []


def test_a_type_may_be_named_in_its_version(parser: Parser) -> None:
    assert parser.from_bytes(sent("type", nonrecursiveBlob=["Kept:2"])) == "type"


def test_a_refused_type_inside_an_admitted_one_is_not_built(parser: Parser, built: list[str]) -> None:
    with pytest.raises(MessageRefused):
        parser.from_bytes(sent("Call", inner=sent("Elsewhere").decode()))
    assert built == ["Call"]


def test_messages_nested_too_deeply_are_refused_and_the_next_one_is_read(parser: Parser) -> None:
    deep = Deep(parser)
    with pytest.raises(MessageRefused, match="nested"):
        deep.go(MAX_DEPTH + 1)
    assert parser.from_bytes(sent("int")) == "int"


class Deep:
    """Reads messages within messages, each as large as the one above."""

    def __init__(self, parser: Parser) -> None:
        self._parser, self._left = parser, 0
        parser._build = self._again

    def go(self, levels: int) -> None:
        self._left = levels
        self._parser.from_bytes(sent("int"))

    def _again(self, message: Message) -> Any:
        self._left -= 1
        return self._parser.from_bytes(sent("int")) if self._left > 0 else message.canonicalName


def test_a_message_that_refers_to_more_bytes_than_it_has_is_refused(parser: Parser) -> None:
    wide = Wide(parser, times=MAX_DEPTH * 2)
    with pytest.raises(MessageRefused, match="nested"):
        wide.go()


class Wide:
    """Reads the whole message again and again, one level down."""

    def __init__(self, parser: Parser, times: int) -> None:
        self._parser, self._times, self._inside = parser, times, False
        parser._build = self._many

    def go(self) -> None:
        self._parser.from_bytes(sent("int"))

    def _many(self, message: Message) -> str:
        if not self._inside:
            self._inside = True
            for _ in range(self._times):
                self._parser.from_bytes(sent("int"))
        return message.canonicalName


def test_another_list_holds_inside_only_and_the_first_one_after(parser: Parser) -> None:
    with parser.only(Admitted.of("Elsewhere", named="")):
        assert parser.from_bytes(sent("Elsewhere")) == "Elsewhere"
        with pytest.raises(MessageRefused):
            parser.from_bytes(sent("Call"))
    with pytest.raises(MessageRefused):
        parser.from_bytes(sent("Elsewhere"))


def test_own_values_are_built_whatever_they_are(parser: Parser) -> None:
    with parser.only(None):
        assert parser.from_bytes(sent("Elsewhere")) == "Elsewhere"
