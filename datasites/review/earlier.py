"""Earlier requests that the hospital approved, as the ledger knows them, and what differs from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasites.code_requests.books import Books
from datasites.review.review import Changed, Differences
from policies.answers import rounded
from policies.errors import GraphError
from policies.graphs.losses.loss_summary import own_loss_of
from policies.graphs.overview.nearest import common_layers, layers_with_settings
from policies.graphs.own_model import check_graph
from policies.graphs.summary import Summary, summary_of
from policies.ledger.reservations import Reservation, reservations
from policies.plans.kinds import Plan
from policies.plans.plan_json import settings
from policies.plans.releases import GramPlan, StatisticsPlan
from policies.plans.training import ModelSpec

_OPERATOR, _LOSS_OPERATOR = "model.graph.operator.", "objective.loss_graph.operator."
_LAYER, _LAYERS = "model.graph.layer.", "model.graph.layers"
_LINE, _LINES = "objective.loss_graph.line.", "objective.loss_graph.lines"
# What there may be many of: how their names begin, what the rest is called, and how many are shown.
_GROUPS = ((_LAYER, _LAYERS, 30), (_LINE, _LINES, 20))
# What tells an own model's or loss's graph piece by piece, and the setting that only a plan with such a graph has.
_PIECES = {
    "model.graph.operators": (_OPERATOR, _LAYER),
    "objective.loss_graph.operators": (_LOSS_OPERATOR, _LINE),
}
# What a setting is called to people who are no engineers; others are called by their names.
IN_PLAIN_WORDS = {
    "study": "name of the study",
    "dataset": "dataset",
    "kind": "what is done",
    "rounds": "number of rounds",
    "steps_per_round": "steps in each round",
    "sample_rate": "share of patients or pictures that a step draws",
    "learning_rate": "size of the model's steps",
    "learning_rate_schedule": "how the size of the steps goes on",
    "momentum": "what a step keeps of the one before",
    "augmentation": "how drawn pictures are changed",
    "server_momentum": "what the researcher keeps of the last mean update",
    "server_averaging": "what the researcher's average of the weights keeps",
    "server.strategy": "how updates become the next model",
    "server.server_learning_rate": "size of the researcher's step",
    "server.server_ridge": "what is added to the Gram matrix",
    "privacy": "differential privacy",
    "privacy.noise_multiplier": "noise, as a multiple of what one unit can add",
    "privacy.max_grad_norm": "most that one unit can add to a step",
    "privacy.delta": "delta",
    "privacy.unit": "whom the promise is for",
    "model.name": "model",
    "model.image_shape": "size of the pictures",
    "model.num_classes": "number of classes",
    "model.graph": "own model",
    "model.graph.operators": "operators of the own model",
    "model.graph.kept_layers": "layers of the own model that are as before, in the same order",
    "model.graph.parameters": "trained numbers of the own model",
    "model.graph.multiplications": "multiplications of the own model for a picture",
    _OPERATOR: "operator of the own model, and how often",
    _LAYER: "layer of the own model",
    _LAYERS: "further layers of the own model that differ",
    _LOSS_OPERATOR: "operator of the own loss, and how often",
    _LINE: "line of the own loss",
    _LINES: "further lines of the own loss that differ",
    "model.options.weights_sha256": "public weights",
    "run.timeout_seconds": "longest time of a round, in seconds",
    "pictures_per_patient": "pictures of a patient that a step looks at",
    "sampling": "how it is drawn who is in a step",
    "objective.loss": "what training lowers",
    "objective.loss_graph": "own loss",
    "objective.loss_graph.operators": "operators of the own loss",
    "objective.loss_graph.multiplications": "multiplications of the own loss for a picture",
    "objective.label_smoothing": "share of a label that is spread over all classes",
    "objective.class_weights": "what a picture of each class counts",
    "objective.present_weights": "what a present finding counts beside an absent one",
}
_ABSENT = "–"


@dataclass(frozen=True)
class Approved:
    """An approved request: its reservation, plan, and the names and shapes of what came in."""

    held: Reservation
    plan: Plan
    inputs: Mapping[str, tuple[int, ...]]

    @property
    def model(self) -> ModelSpec | None:
        """The model that its weights are of, if it takes any."""
        return None if isinstance(self.plan, StatisticsPlan | GramPlan) else self.plan.model


class Standing:
    """The ledger as it stood when a request was decided; as it stands now where it was not.

    Attributes:
        held: The reservations that stood, by request, oldest first; without the request's own.
    """

    def __init__(self, books: Books, request_id: str, decided_at: str) -> None:
        """Reads the ledger up to the request's own reservation, or else up to when it was decided.

        Args:
            books: The datasite's.
            request_id: The request.
            decided_at: When it was decided, as the decision states it; empty where it was not.
        """
        entries = books.ledger.entries()
        own = next((i for i, one in enumerate(entries) if (one.kind, one.request_id) == ("reserve", request_id)), None)
        if own is not None:
            entries = entries[:own]
        elif decided_at:
            entries = tuple(one for one in entries if one.at <= decided_at)
        self._books, self.held = books, reservations(entries)

    def approved(self, request_id: str) -> Approved | None:
        """One of them, with what was decided on; None where the table of decisions does not know it."""
        held, decision = self.held.get(request_id), self._books.approvals.of_request(request_id)
        if held is None or decision is None or not decision.plan:
            return None
        return Approved(held, decision.approved_plan, decision.inputs)

    def last_of_researcher(self, researcher: str) -> Approved | None:
        """The last request of a researcher that was approved."""
        return self._last(lambda held: held.researcher == researcher)

    def last_of_study(self, study: str, *, with_model: bool = False) -> Approved | None:
        """The last request of a study that was approved, whoever asked; only of those with a model, if that is told."""
        return self._last(lambda held: held.study == study, with_model=with_model)

    def _last(self, chosen: Any, *, with_model: bool = False) -> Approved | None:
        for request_id, held in reversed(self.held.items()):
            if chosen(held) and (found := self.approved(request_id)) is not None and (found.model or not with_model):
                return found
        return None

    def weights_came_before(self, request_id: str) -> tuple[str, str, int] | None:
        """With which earlier request, study and round the first weights of a request's rounds had come in already."""
        own = self._books.ledger.reservations().get(request_id)
        first = None if own is None else own.started.get(0)
        if first is None:
            return None
        for other, held in self.held.items():
            for index, begun in held.started.items():
                if begun.weights_digest == first.weights_digest:
                    return other, held.study, index
        return None


def differences(standing: Standing, plan: Plan, researcher: str) -> tuple[Differences, ...]:
    """What differs from the last approved request of this researcher, and from that of this study."""
    found: list[Differences] = []
    for of, earlier in (
        ("researcher", standing.last_of_researcher(researcher)),
        ("study", standing.last_of_study(plan.study)),
    ):
        if earlier is not None:
            held = earlier.held
            same = next((one for one in found if one.request_id == held.request_id), None)
            changed = same.changed if same else _changed(_told(earlier.plan), _told(plan)) + _kept(earlier.plan, plan)
            found.append(Differences(of, held.request_id, held.study, changed))
    return tuple(found)


def _kept(before: Plan, now: Plan) -> tuple[Changed, ...]:
    """How many layers of two own models that differ are in both, in the same order."""
    try:
        earlier, later = check_graph(before), check_graph(now)
    except GraphError:
        return ()
    if earlier is None or later is None or earlier.graph == later.graph:
        return ()
    layers = [layers_with_settings(proof) for proof in (earlier, later)]
    kept, name = common_layers(*layers), "model.graph.kept_layers"
    return (Changed(name, _what(name), *(f"{kept:,} / {len(each):,}" for each in layers)),)


def _told(plan: Plan) -> dict[str, str]:
    """A plan's settings by their dotted names, and of an own model or loss how often its graph has each operator."""
    told = _flat(settings(plan))
    try:
        proof, made = check_graph(plan), own_loss_of(plan)
    except GraphError:  # approved by rules that have become stricter: its digest is told all the same
        return told
    if made is not None:
        told["objective.loss"] = "own loss"
        counts = {"operators": made.operators, "multiplications": made.multiplications}
        told |= {f"objective.loss_graph.{name}": f"{count:,}" for name, count in counts.items()}
        told |= _operators(_LOSS_OPERATOR, made.kinds)
        told |= {f"{_LINE}{number}": line for number, line in enumerate(made.lines, start=1)}
    if proof is not None:
        found = summary_of(proof)
        told["model.name"] = "own model"
        for name in ("operators", "parameters", "multiplications"):
            told[f"model.graph.{name}"] = f"{getattr(found, name):,}"
        told |= _operators(_OPERATOR, found.kinds) | _layers(found)
    return told


def _operators(prefix: str, kinds: Mapping[str, int]) -> dict[str, str]:
    """How often a graph has each operator, told with its name."""
    return {f"{prefix}{name}": f"{name}: {count:,}" for name, count in kinds.items()}


def _layers(found: Summary) -> dict[str, str]:
    """Each layer by its name, and by its number among those that share one."""
    told: dict[str, str] = {}
    met: Counter[str] = Counter()
    for layer in found.layers:
        met[layer.name] += 1
        again = f" ({met[layer.name]})" if met[layer.name] > 1 else ""
        figures = f"{layer.operator}, {layer.makes}, {layer.parameters:,}"
        told[f"{_LAYER}{layer.name}{again}"] = f"{layer.name}{again}: {figures}"
    return told


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[Changed, ...]:
    """Setting by setting.

    Of plans that do other things, what both have; and no pieces of a graph where the other plan has none to hold
    them against: the rest says once more, row by row, what the card tells of the new plan.
    """
    names = [*now, *(name for name in before if name not in now)]
    if before["kind"] != now["kind"]:
        names = [name for name in now if name in before]
    alone = tuple(piece for graph, pieces in _PIECES.items() if (graph in before) != (graph in now) for piece in pieces)
    names = [name for name in names if not name.startswith(alone)]
    differ = [name for name in names if before.get(name) != now.get(name)]
    more = {group: [name for name in differ if name.startswith(one)][most:] for one, group, most in _GROUPS}
    left_out = {name for names in more.values() for name in names}
    shown = [name for name in differ if name not in left_out]
    changed = [Changed(name, _what(name), before.get(name, _ABSENT), now.get(name, _ABSENT)) for name in shown]
    for group, names in more.items():
        if names:
            counts = [sum(name in told for name in names) for told in (before, now)]
            changed.append(Changed(group, _what(group), *(f"{count:,}" for count in counts)))
    return tuple(changed)


def _what(name: str) -> str:
    """What a setting is called to people; operators, layers and lines of own graphs are named by their values."""
    for one in (_OPERATOR, _LOSS_OPERATOR, *(one for one, _, _ in _GROUPS)):
        if name.startswith(one):
            return IN_PLAIN_WORDS[one]
    return IN_PLAIN_WORDS.get(name, name.replace("_", " "))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Settings by their dotted names, without what the researcher wrote freely."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and name != "statement":
            found |= _flat(value, f"{prefix}{name}.")
        elif name != "statement":
            found[f"{prefix}{name}"] = rounded.setting(value)
    return found
