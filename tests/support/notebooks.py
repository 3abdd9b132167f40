"""Hospitals that answer from memory, behind the federation that a notebook holds: no PySyft, no sockets."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any, Self

from support.hospitals import CLASSES, draw_pictures

from policies.answers.hospital import BudgetAnswer
from policies.answers.requests import RequestAnswer
from policies.budget.limits import DatasetLimits
from policies.errors import DatasiteUnreachable
from policies.plans.kinds import Plan

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.hospitals.code_request import CodeRequest
    from researcher.hospitals.hospital import DatasetInfo, Mock
    from researcher.notebook.federation import Federation

_OF_TABLES = {"div", "p", "table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "li", "meter", "span"}
TAGS = _OF_TABLES | {"svg", "title", "line", "polyline", "circle", "text"}
_SCRIPTS = re.compile(r"on\w+|href|src|srcdoc|formaction", re.IGNORECASE)


def dataset(datasite: str = "north", **changes: Any) -> DatasetInfo:
    """What a hospital publishes: two classes of pictures of 16 by 16."""
    info = DatasetInfo(datasite, "pictures", CLASSES, (16, 16, 1), "picture", 300, DatasetLimits().to_dict())
    return replace(info, **changes)


class Routes:
    """A hospital's routes. `answers` are what it says of a request, the last one for ever."""

    def __init__(self, name: str, answers: list[RequestAnswer]) -> None:
        self.url, self.answers, self.reachable = f"https://{name}.example.org", answers, True
        self.round_receipts: dict[str, object] = {}

    def budget(self, name: str) -> BudgetAnswer:
        self._reach()
        return BudgetAnswer(epsilon_total=8.0, epsilon_left=6.0, delta=1e-5)

    def request(self, request_id: str) -> RequestAnswer:
        self._reach()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def rehearsal(self, request_id: str) -> None:
        return None

    def _reach(self) -> None:
        if not self.reachable:
            raise DatasiteUnreachable("It does not answer.")


class AtHome(Federation):
    """A federation whose hospitals are `Routes`; `submitted` is what each of them was asked for."""

    submitted: list[tuple[str, str]]

    def only(self, *names: str) -> Self:
        made = super().only(*names)
        made.submitted = self.submitted
        return made


class _Hospital:
    """A hospital that answers from memory."""

    def __init__(self, info: DatasetInfo, state: str, submitted: list[tuple[str, str]]) -> None:
        self.name, self.datasets, self.credentials = info.datasite, {info.name: info}, f"of {info.datasite}"
        self.routes = Routes(self.name, [RequestAnswer("r", state, "")])
        self.versions, self.public_key, self._submitted = {"wanwu": "1.0"}, "0" * 64, submitted

    def mock(self, dataset: str) -> Mock:
        return Mock(*draw_pictures(32, seed=1))

    def submit(self, plan: Plan, name: str = "") -> CodeRequest:
        self._submitted.append((self.name, plan.digest()))
        return CodeRequest(f"{self.name}-request", "f", "c")

    def close(self) -> None:
        pass


def federation(*datasets: DatasetInfo, state: str = "approved") -> AtHome:
    """A federation of these datasets' hospitals."""
    submitted: list[tuple[str, str]] = []
    hospitals: list[Any] = [
        _Hospital(one, state, submitted) for one in datasets or (dataset("north"), dataset("south", public_size=200))
    ]
    made = AtHome(hospitals)
    made.submitted = submitted
    return made


class _Markup(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def faults(html: str) -> Iterator[str]:
    """What stands in markup that this platform does not write: a tag, a way to run or to fetch something, a tear."""
    read = _read(html)
    yield from sorted(read.tags - TAGS)
    yield from sorted(name for name in read.attributes if _SCRIPTS.fullmatch(name))
    yield from read.open


def words(html: str) -> str:
    """What a reader sees of markup."""
    return " ".join(_read(html).words)


def _read(html: str) -> _Markup:
    read = _Markup()
    read.feed(html)
    read.close()
    return read
