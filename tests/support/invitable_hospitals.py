"""Hospitals in this process that take plans, for studies that further hospitals come to; their books are files."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.fake_hospitals import SIZE, FakeHospital
from support.hospitals import CLASSES

from policies.answers.hospital import BudgetAnswer
from policies.answers.requests import RequestAnswer
from policies.errors import WanwuError
from policies.plans.kinds import Plan
from policies.plans.training import ModelSpec
from researcher.hospitals.code_request import CodeRequest
from researcher.hospitals.hospital import DatasetInfo

SPEC = ModelSpec("linear", (16, 16, 1), 2)


def dataset_of(name: str, **changes: Any) -> DatasetInfo:
    """What a hospital publishes."""
    told = {"class_names": CLASSES, "image_shape": (16, 16, 1), "unit": "picture", "public_size": SIZE, "limits": {}}
    return DatasetInfo(datasite=name, name="d", **{**told, **changes})


class InvitableHospital(FakeHospital):
    """A hospital that keeps the requests it took in a file, one for each stub's name, as PySyft does.

    Attributes:
        books: The file.
        refuses: What it answers to a submission; None takes it.
        answering: Called when a request is taken and nothing of that was answered yet.
        left: Epsilon that is left of its budget.
        ended: Requests that were ended.
        release_0_3: Whether it can be asked which request has some stub's name.
    """

    books: Path
    refuses: WanwuError | None
    answering: Callable[[], object]
    left: float = 8.0
    ended: list[str]
    release_0_3: bool = True

    def tells_stubs(self) -> bool:
        self._reach()
        return self.release_0_3

    def request_of_stub(self, name: str) -> RequestAnswer | None:
        self._reach()
        kept = self.requests.get(name)
        if kept is None:
            return None
        self.answering()
        return self.request(kept["request"])

    def submit(self, plan: Plan, name: str = "") -> CodeRequest:
        self._reach()
        if self.refuses is not None:
            raise self.refuses
        kept = self.requests
        kept.setdefault(name, {"request": f"{self.name}-{len(kept)}", "plan": plan.to_json()})
        self._keep(kept)
        self.answering()
        return CodeRequest(kept[name]["request"], name, "c")

    def _keep(self, requests: dict[str, dict[str, str]]) -> None:
        written = self.books.with_suffix(f".{threading.get_ident()}")
        written.write_text(json.dumps(requests))
        written.replace(self.books)  # who reads them meanwhile reads them whole

    def request(self, request_id: str) -> RequestAnswer:
        self._reach()
        withdrawn = request_id in self.withdrawn
        return RequestAnswer(request_id, "withdrawn", "") if withdrawn else RequestAnswer(request_id, *self.decision)

    def withdraw(self, request_id: str) -> RequestAnswer:
        kept = self.requests
        for one in kept.values():
            if one["request"] == request_id:
                one["withdrawn"] = "yes"
        self._keep(kept)
        return self.request(request_id)

    @property
    def withdrawn(self) -> list[str]:
        """Requests that were withdrawn."""
        return [one["request"] for one in self.requests.values() if "withdrawn" in one]

    def end(self, request_id: str) -> None:
        self._reach()
        self.ended.append(request_id)

    def budget(self, dataset: str) -> BudgetAnswer:
        self._reach()
        return BudgetAnswer(epsilon_total=8.0, epsilon_left=self.left, delta=1e-5)

    @property
    def requests(self) -> dict[str, dict[str, str]]:
        """Name of the stub → its request and its plan."""
        return dict(json.loads(self.books.read_text())) if self.books.exists() else {}

    def close(self) -> None:
        pass


def invitable(folder: Path, name: str, first: Any, **published: Any) -> InvitableHospital:
    """A hospital with these weights' shapes, whose books lie in a folder."""
    made = InvitableHospital(name, first)
    made.books, made.refuses, made.answering = folder / f"{name}.books.json", None, lambda: None
    made.ended = []
    made.public_key = f"key of {name}"  # type: ignore[attr-defined]
    datasets: Any = {"d": dataset_of(name, **published)}
    made.datasets = datasets
    made.url = f"https://{name}.example.org"  # type: ignore[attr-defined]
    return made
