"""The facts of a study, each written once as a value with what it rests on; every paper draws from them alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policies.answers import rounded
from policies.answers.odds import STATED_RATE, percent
from policies.budget.membership import MembershipBounds, membership_bounds
from policies.papers.bill_of_materials import bill_digest
from policies.plans.plan_json import plain
from policies.plans.training import TrainingPlan
from policies.settings import declared
from researcher.papers.kept_receipts import KeptReceipt
from researcher.papers.study_record import StudyRecord, sbom_of
from researcher.papers.words import Words

WORDS_FILE = "words.json"
_GRAM_RECEIPT = "the Gram matrix's receipt"
_OF_THE_PLAN = (
    *("rounds", "steps_per_round", "sample_rate", "learning_rate", "learning_rate_schedule", "momentum"),
    *("weight_decay", "proximal_mu", "augmentation", "augmentation_multiplicity", "server_momentum"),
    *("server_averaging", "weights_encoding", "update_encoding", "pictures_per_patient", "late_updates"),
)


@dataclass(frozen=True)
class Fact:
    """A value as people read it, and what it rests on."""

    value: str
    source: str


@dataclass(frozen=True)
class Facts:
    """All facts.

    Attributes:
        study: By name; what is not known is not there.
        hospitals: Of each, in the order of the receipts, the study's beside.
        scores: Of each score of the evaluation, the study's beside.
    """

    study: Mapping[str, Fact]
    hospitals: tuple[Mapping[str, Fact], ...]
    scores: tuple[Mapping[str, Fact], ...]

    def each(self, of: str) -> Sequence[Mapping[str, Fact]]:
        """The tables that a line of the study, its hospitals or its scores is told with."""
        if of == "study":
            return (self.study,)
        return [{**self.study, **one} for one in (self.hospitals if of == "hospitals" else self.scores)]


def facts_of(record: StudyRecord, words: Words, bill: str | bytes) -> Facts:
    """Collects what is known.

    Args:
        record: The study, verified.
        words: The researcher's.
        bill: Of materials, of the researcher's environment.
    """
    own = bill_digest(bill)
    hospitals = tuple(_hospital(number, one, record, words, own) for number, one in enumerate(record.receipts, 1))
    study = {**_study(record), **_plan(record), **_costs(record), **_said(words, record.plan)}
    study["sbom"] = Fact(own, "sbom.cdx.json")
    scores: tuple[Mapping[str, Fact], ...] = ()
    if (judged := record.judgement) is not None:
        study |= {
            "test_data": Fact(judged.data.source, "evaluation.json /data/source"),
            "test_pictures": Fact(str(judged.data.pictures), "evaluation.json /data/pictures"),
            "draws": Fact(str(judged.draws), "evaluation.json /draws"),
            "cautions": Fact(" ".join(judged.cautions) or "None.", "evaluation.json /cautions"),
        }
        if judged.data.unit == "patient":
            study["test_patients"] = Fact(str(judged.data.units), "evaluation.json /data/units")
        if judged.temperature is not None:
            study["temperature_on"] = Fact(judged.temperature.chosen_on, "evaluation.json /temperature/chosen_on")
        scores = tuple(
            {
                "score": Fact(name.replace("_", " "), f"evaluation.json /scores/{name}"),
                "score_value": Fact(f"{score.value:.3f}", f"evaluation.json /scores/{name}"),
                "score_low": Fact(f"{score.low:.3f}", f"evaluation.json /scores/{name}"),
                "score_high": Fact(f"{score.high:.3f}", f"evaluation.json /scores/{name}"),
            }
            for name, score in judged.scores.items()
            if score is not None
        )
    return Facts(study, hospitals, scores)


def _at(receipt: KeptReceipt, field: str, *, of: str = "receipt") -> str:
    return f"{of} {receipt.sha256[:12]}, signed: /receipt/{field}"


def _cost_at(one: KeptReceipt) -> str:
    """Where an epsilon stands: in the receipt, or reckoned from the rounds of both."""
    if one.gram is None:
        return _at(one, "epsilon")
    matrix = _at(one.gram, "rounds", of=_GRAM_RECEIPT)
    return f"reckoned from both: {_at(one, 'rounds')}; {matrix}"


def _study(record: StudyRecord) -> dict[str, Fact]:
    first, model = record.receipts[0], record.model
    ran = [one for one in record.receipts if one.receipt.rounds]
    every = "; ".join(_at(one, "rounds") for one in record.receipts)
    sidecar = f"{model.name}, what the file says of itself: /"
    known = {
        "study": Fact(first.receipt.study, _at(first, "study")),
        "hospital_count": Fact(str(len(ran)), every),
        "model_file": Fact(model.name, f"{model.name}, SHA-256 {model.sha256}"),
        "model_sha256": Fact(model.sha256, f"{model.name}, SHA-256 {model.sha256}"),
        "weights_sha256": Fact(model.weights_sha256, f"{sidecar}weights"),
        "model_form": Fact(model.form, f"{model.name}, SHA-256 {model.sha256}"),
        "model_bytes": Fact(str(model.bytes), f"{model.name}, SHA-256 {model.sha256}"),
        "model_rounds": Fact(str(model.round), f"{sidecar}round"),
        "class_names": Fact(", ".join(model.class_names), f"{sidecar}class_names"),
        "plan_digest": Fact(first.receipt.plan_digest, _at(first, "plan_digest")),
    }
    if (form := model.form_of_pictures) is not None:
        told = f"resized by {form.resize}, {form.store_bits} bits a value, window {form.window}"
        known["picture_form"] = Fact(told, f"{sidecar}form")
    if model.modality is not None:
        known["modality"] = Fact(model.modality, f"{sidecar}modality")
    if idle := len(record.receipts) - len(ran):
        known["idle_count"] = Fact(str(idle), every)
    return known


def _told(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _plan(record: StudyRecord) -> dict[str, Fact]:
    plan, first = record.plan, record.receipts[0]
    height, width, channels = plan.model.image_shape
    known = {
        "model_name": Fact(plan.model.name, _at(first, "plan/model/name")),
        "picture_shape": Fact(f"{height} x {width} x {channels}", _at(first, "plan/model/image_shape")),
        "class_count": Fact(str(plan.model.num_classes), _at(first, "plan/model/num_classes")),
        f"labels_{plan.model.label_kind}": Fact(plan.model.label_kind, _at(first, "plan/model")),
        **{name: Fact(str(getattr(plan, name)), _at(first, f"plan/{name}")) for name in _OF_THE_PLAN},
        "strategy": Fact(plan.server.strategy, _at(first, "plan/server/strategy")),
        "server_settings": Fact(_told(plan.server.read), _at(first, "plan/server")),
        "objective": Fact(_told(plain(plan.objective, everything=True)), _at(first, "plan/objective")),
        "precision": Fact(plan.run.precision, _at(first, "plan/run/precision")),
        "engine": Fact(plan.run.engine, _at(first, "plan/run/engine")),
    }
    if plan.allocated_over:
        known["allocated_over"] = Fact(str(plan.allocated_over), _at(first, "plan/sampling"))
    if plan.model.options:
        known["model_options"] = Fact(_told(plan.model.options), _at(first, "plan/model/options"))
    if (privacy := plan.privacy) is not None:
        for name in ("noise_multiplier", "max_grad_norm", "unit"):
            known[name] = Fact(str(getattr(privacy, name)), _at(first, f"plan/privacy/{name}"))
        known[f"unit_{privacy.unit}"] = known["unit"]
        known["delta"] = Fact(rounded.number(privacy.delta), _at(first, "plan/privacy/delta"))
    return known


def _costs(record: StudyRecord) -> dict[str, Fact]:
    """The dearest hospital's epsilon, which bounds everybody's who is at one hospital; or that nothing does."""
    costs = [(one.epsilon, one) for one in (*record.receipts, *record.grams_alone) if one.epsilon is not None]
    open_ones = [one for one in record.receipts if one.receipt.epsilon is None and one.receipt.rounds]
    if open_ones:
        return {"open_count": Fact(str(len(open_ones)), "; ".join(_at(one, "epsilon") for one in open_ones))}
    if not costs:
        return {}
    most, of = max(costs, key=lambda pair: pair[0])
    known = {"epsilon_most": Fact(_up(most), _cost_at(of))}
    if record.grams_alone:
        dearest = max(record.grams_alone, key=lambda one: one.epsilon or 0.0)
        every = "; ".join(_at(one, "rounds", of=_GRAM_RECEIPT) for one in record.grams_alone)
        known["alone_count"] = Fact(str(len(record.grams_alone)), every)
        known["alone_epsilon"] = Fact(_up(dearest.epsilon or 0.0), _at(dearest, "epsilon", of=_GRAM_RECEIPT))
        delta = dearest.receipt.delta or 0.0
        known["alone_delta"] = Fact(rounded.number(delta), _at(dearest, "delta", of=_GRAM_RECEIPT))
    return known


def _said(words: Words, plan: TrainingPlan) -> dict[str, Fact]:
    own = f"{WORDS_FILE}, the researcher's own words: /"
    known = {name: Fact(getattr(words, name), f"{own}{name}") for name in declared(Words) if getattr(words, name)}
    for name in ("institution", "purpose", "protocol", "publication"):
        if plan.statement is not None and (text := getattr(plan.statement, name)):
            known[name] = Fact(text, f"the approved plan, in the researcher's words: /receipt/plan/statement/{name}")
    return known


def _hospital(number: int, one: KeptReceipt, record: StudyRecord, words: Words, own: str) -> dict[str, Fact]:
    receipt = one.receipt
    named = words.hospitals.get(one.hospital)
    known = {
        "hospital": Fact(named or f"Hospital {number}", f"{WORDS_FILE}: /hospitals" if named else _at(one, "datasite")),
        "receipt": Fact(one.sha256, f"receipt {one.sha256}"),
        "key": Fact(one.public_key, f"receipt {one.sha256[:12]}: /public_key"),
        "rounds_charged": Fact(str(len(receipt.rounds)), _at(one, "rounds")),
        "approved_on": Fact(receipt.approved_at[:10], _at(one, "approved_at")),
        "approval_digest": Fact(receipt.approval_digest, _at(one, "approval_digest")),
        f"state_{receipt.state}": Fact(receipt.state, _at(one, "state")),
        "wanwu": Fact(receipt.versions.get("wanwu", "not stated"), _at(one, "versions/wanwu")),
        "dataset_mark": Fact(receipt.dataset_mark, _at(one, "dataset_mark")),
    }
    if one.epsilon is None:
        known["without_privacy"] = Fact("without differential privacy", _at(one, "epsilon"))
    else:
        known["epsilon"] = Fact(_up(one.epsilon), _cost_at(one))
        known["steps"] = Fact(str(sum(part.steps for part in receipt.spend)), _at(one, "rounds"))
        known |= _odds(one, membership_bounds(one.spend))
    if (gram := one.gram) is not None and gram.receipt.epsilon is not None:
        known["gram_epsilon"] = Fact(_up(gram.receipt.epsilon), _at(gram, "epsilon", of=_GRAM_RECEIPT))
        known["gram_delta"] = Fact(rounded.number(gram.receipt.delta or 0.0), _at(gram, "delta", of=_GRAM_RECEIPT))
        known["gram_receipt"] = Fact(gram.sha256, f"receipt {gram.sha256}")
        if gram.released in record.model.gram.values():
            known["gram_digest"] = Fact(gram.released, _at(gram, "rounds/0/update_digest", of=_GRAM_RECEIPT))
    if digest := sbom_of(one):
        known["hospital_sbom"] = Fact(digest, _at(one, "versions/sbom"))
        known["same_sbom" if digest == own else "other_sbom"] = known["hospital_sbom"]
    if one.hospital in record.extracts:
        extract, digest = record.extracts[one.hospital]
        at = f"ledger extract {digest[:12]}, signed: /extract/"
        known["epsilon_limit"] = Fact(f"{extract.epsilon_limit:g}", f"{at}epsilon_limit")
        known["epsilon_held"] = Fact(_up(extract.epsilon_held), f"{at}epsilon_held")
        if extract.without_privacy:
            known["held_open"] = Fact("without differential privacy", f"{at}without_privacy")
        known["delta_of_dataset"] = Fact(rounded.number(extract.delta), f"{at}delta")
    return known


def _odds(one: KeptReceipt, bounds: MembershipBounds) -> dict[str, Fact]:
    """What any test of membership can find, reckoned from the rounds; rounded up."""
    source = _at(one, "rounds") if one.gram is None else _cost_at(one)
    found = math.ceil(100 * bounds.powers[bounds.false_alarm_rates.index(STATED_RATE)])
    if found >= 100:
        return {f"no_bound_{one.receipt.unit}": Fact(one.receipt.unit, source)}
    lowest, middle, highest = map(percent, bounds.powers)
    return {
        f"found_{one.receipt.unit}": Fact(str(found), source),
        "power_lowest": Fact(lowest, source),
        "power_middle": Fact(middle, source),
        "power_highest": Fact(highest, source),
    }


def _up(epsilon: float) -> str:
    """An epsilon with three places, rounded up: what is stated is never less than what it is of."""
    return f"{math.ceil(round(epsilon * 1000, 6)) / 1000:g}"
