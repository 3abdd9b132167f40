"""What the hospitals' own books say of a study when it is over: what was charged, what left, and what came of it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from support.hospitals import Hospital

from datasites.audit_log.chain import verify
from datasites.files.state_folder import StateFolder
from datasites.state.kept_books import open_ledger, seal_of
from policies.contracts.weights_file import read_whole
from policies.ledger.reservations import NOTHING_LEFT
from policies.plans.training import TrainingPlan
from researcher.studies.taking_part.on_the_way import ON_THE_WAY_FILE

MOST_UPDATE_BYTES = 1 << 24


@dataclass
class Books:
    """What the books of all hospitals say of one study.

    Attributes:
        rounds_lost: Rounds of the study without an update in its model.
        charged: Rounds charged, over all hospitals.
        used: Updates in the model.
        charged_for_nothing: Charged rounds whose update was not used: late at the end, or not let out.
        charged_twice: Rounds that a ledger charges more than once, or more steps than its rounds have.
        charged_less: Updates that left a hospital, or were used, and that its ledger does not hold.
        used_twice: Updates that are in the model more than once.
        wrong_model: Whether the model is not the mean of the updates that the ledgers name.
        by_hospital: Hospital → its rounds charged.
    """

    rounds_lost: int = 0
    charged: int = 0
    used: int = 0
    charged_for_nothing: int = 0
    charged_twice: int = 0
    charged_less: int = 0
    used_twice: int = 0
    wrong_model: bool = False
    by_hospital: dict[str, int] = field(default_factory=dict)

    @property
    def in_order(self) -> bool:
        """Whether nothing was lost, and everything was charged exactly once."""
        wrong = self.rounds_lost + self.charged_twice + self.charged_less + self.used_twice
        return not wrong and not self.wrong_model


@dataclass(frozen=True)
class Invited:
    """What its own books and the study's folder say of a hospital that came while the study ran.

    Attributes:
        after_round: Rounds that were done when it was asked, as the folder says.
        requests: How often its books have the study's plan.
        charged: The rounds that its ledger charged, from 1.
        used: Those whose update is in the model, from 1.
        on_the_way: Whether the folder has a note of a request that was not heard of.
    """

    after_round: int
    requests: int
    charged: list[int]
    used: list[int]
    on_the_way: bool

    @property
    def in_order(self) -> bool:
        """Whether it was asked once, charged nothing of before, and took part."""
        late = min(self.charged, default=0) > self.after_round > 0
        return self.requests == 1 and late and bool(self.used) and not self.on_the_way


def invited_of(folder: Path, hospital: Hospital, request: str, records: list[dict[str, Any]]) -> Invited:
    """Reads them.

    Args:
        folder: The study's.
        hospital: Who came.
        request: Its request.
        records: The study's rounds, as its history holds them.
    """
    name = hospital.state.name
    shown = [hospital.admin_json("show", one["id"])["plan_digest"] for one in hospital.admin_json("requests")]
    held = open_ledger(StateFolder(hospital.state)).reservations()[request]
    return Invited(
        after_round=json.loads((folder / "study.json").read_text())["invited"][name]["after_round"],
        requests=shown.count(hospital.admin_json("show", request)["plan_digest"]),
        charged=sorted(index + 1 for index in held.rounds_charged),
        used=[
            record["round"] - record.get("staleness", {}).get(name, 0)
            for record in records
            if name in record["datasites"]
        ],
        on_the_way=(folder / ON_THE_WAY_FILE).exists(),
    )


def books_of(
    hospitals: Mapping[str, Hospital],
    requests: Mapping[str, str],
    plan: TrainingPlan,
    records: list[dict[str, Any]],
    first: Mapping[str, np.ndarray],
    last: Mapping[str, np.ndarray],
) -> Books:
    """Reads all books, and checks that they verify.

    Args:
        hospitals: By name.
        requests: Hospital → its request.
        plan: The study's.
        records: The study's rounds, as its history holds them.
        first: The global model before the first round.
        last: The global model after the last.

    Raises:
        WanwuError: A ledger or an audit log does not verify.
    """
    books = Books(rounds_lost=plan.rounds - sum(bool(record["datasites"]) for record in records))
    used = Counter(
        (name, record["round"] - 1 - record.get("staleness", {}).get(name, 0))
        for record in records
        for name in record["datasites"]
    )
    books.used, books.used_twice = sum(used.values()), sum(count > 1 for count in used.values())
    given: dict[tuple[str, int], str] = {}
    for name, hospital in hospitals.items():
        given |= {(name, index): digest for index, digest in _add(books, name, hospital, requests[name], plan).items()}
    books.charged_less += sum(of not in given for of in used)
    books.charged_for_nothing = books.charged - len(used)
    if not books.charged_less:
        expected = _averaged(hospitals, given, records, first)
        books.wrong_model = not all(np.allclose(expected[key], last[key], rtol=1e-4, atol=1e-5) for key in first)
    return books


def _add(books: Books, name: str, hospital: Hospital, request: str, plan: TrainingPlan) -> dict[int, str]:
    """Adds one hospital's books; round → digest of the update that its ledger holds."""
    state = StateFolder(hospital.state)
    ledger = open_ledger(state)
    ledger.verify()
    verify(state.audit, seal_of(state))
    held = ledger.reservations()[request]
    starts = Counter(
        entry.round_index for entry in ledger.entries() if entry.kind == "start" and entry.request_id == request
    )
    books.by_hospital[name] = len(held.rounds_charged)
    books.charged += len(held.rounds_charged)
    books.charged_twice += sum(count > 1 for count in starts.values())
    books.charged_twice += sum(part.steps for part in held.spent) != len(held.rounds_charged) * plan.steps_per_round
    given = {index: one.update_digest for index, one in held.committed.items() if one.update_digest != NOTHING_LEFT}
    left = {
        (one["round"], one["update"])
        for one in hospital.events("run done")
        if one["request"] == request and "update" in one
    }
    books.charged_less += len(left - set(given.items()))
    return given


def _averaged(
    hospitals: Mapping[str, Hospital],
    given: Mapping[tuple[str, int], str],
    records: list[dict[str, Any]],
    first: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """The model that averaging the updates in the hospitals' folders makes; all have as many pictures."""
    weights = {key: array.astype(np.float64) for key, array in first.items()}
    shapes = {key: array.shape for key, array in first.items()}
    for record in records:
        for name in record["datasites"]:
            staleness = record.get("staleness", {}).get(name, 0)
            digest = given[name, record["round"] - 1 - staleness]
            (file,) = (hospitals[name].state / "blobs").rglob(f"{digest}*")
            for key, array in read_whole(file, shapes, max_bytes=MOST_UPDATE_BYTES).items():
                weights[key] += array / math.sqrt(1 + staleness) / len(record["datasites"])
    return weights
