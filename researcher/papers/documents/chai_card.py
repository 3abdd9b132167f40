"""The applied model card of the Coalition for Health AI, version 0.2 of its schema, as XML (CHAI, 2024)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from xml.etree import ElementTree

from researcher.papers import rests_on
from researcher.papers.documents.model_card import ODDS, SECTIONS
from researcher.papers.facts import Facts
from researcher.papers.lines import HOSPITALS, Footnotes, Line, tell
from researcher.papers.study_record import StudyRecord

NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"
NOT_STATED = Line("Not stated.", rests_on=(rests_on.NOT_SAID,))
_WHAT, _, _TRAINED, _COST, _SCORES = (section.lines for section in SECTIONS)
Element = str | tuple[str, "Sequence[Element]"]


def _said(name: str) -> tuple[Line, ...]:
    """What the researcher says under one name, or that nothing was."""
    return (Line(f"{{{name}}}"), Line("Not stated.", unless=name, rests_on=(rests_on.NOT_SAID,)))


# The card's elements in the schema's order, below one another; texts by the element's name.
CARD: tuple[Element, ...] = (
    ("BasicInfo", ("ModelName", "ModelDeveloper", "DeveloperContact")),
    ("ReleaseInfo", ("ReleaseStage", "ReleaseDate", "ReleaseVersion", "GlobalAvailability", "RegulatoryApproval")),
    ("ModelSummary", ("Summary", ("Keywords", ("Keyword",)))),
    (
        "UsesAndDirections",
        (
            *("IntendedUseAndWorkflow", "PrimaryIntendedUsers", "HowToUse", "TargetedPatientPopulation"),
            "CautionedOutOfScopeSettings",
        ),
    ),
    ("Warnings", ("KnownRisksAndLimitations", "KnownBiasesOrEthicalConsiderations", "ClinicalRiskLevel")),
    (
        "TrustIngredients",
        (
            (
                "AISystemFacts",
                (
                    *("OutcomesAndOutputs", "ModelType", "InputDataSource", "OutputAndInputDataTypes"),
                    *("DevelopmentDataCharacterization", "BiasMitigationApproaches", "OngoingMaintenance"),
                    *("Security", "Transparency"),
                ),
            ),
            ("TransparencyInformation", ("FundingSource", "StakeholdersConsulted")),
        ),
    ),
    ("KeyMetrics", ("UsefulnessUsabilityEfficacy", "FairnessEquity", "SafetyReliability")),
    ("Resources", ("PeerReviewedPublications", "PatientConsentOrDisclosure")),
    "Bibliography",
)
TEXTS: dict[str, tuple[Line, ...]] = {
    "ModelName": (Line("{title}"), Line("{study}", unless="title")),
    "ModelDeveloper": _said("developer"),
    "DeveloperContact": _said("contact"),
    "ReleaseVersion": (*_said("release"), Line("SHA-256 {model_sha256}.")),
    "Summary": _WHAT,
    "IntendedUseAndWorkflow": _said("intended_use"),
    "PrimaryIntendedUsers": _said("users"),
    "HowToUse": (
        Line("The model takes pictures of {picture_shape} (height, width, channels) and gives {class_count} outputs."),
    ),
    "TargetedPatientPopulation": _said("population"),
    "CautionedOutOfScopeSettings": _said("out_of_scope"),
    "KnownRisksAndLimitations": (*_said("limits"), *_COST),
    "KnownBiasesOrEthicalConsiderations": _said("biases"),
    "OutcomesAndOutputs": (Line("Outputs, in order: {class_names}."),),
    "ModelType": (Line("{model_name}, trained by federated averaging at {hospital_count} hospital(s)."),),
    "InputDataSource": (
        Line("{hospital}: the dataset with the mark {dataset_mark}.", HOSPITALS),
        Line("The hospitals declare pictures of this kind: {modality}."),
    ),
    "OutputAndInputDataTypes": (
        Line("In: pictures of {picture_shape}. Out: {class_count} numbers."),
        Line("Files became pictures so: {picture_form}."),
    ),
    "DevelopmentDataCharacterization": (
        Line(
            "How many pictures and patients each hospital has is not published, nor who they are.",
            rests_on=(rests_on.OUTPUT,),
        ),
    ),
    "Security": (*ODDS, Line("{hospital}'s receipts verify with the key {key}.", HOSPITALS)),
    "Transparency": _TRAINED,
    "FundingSource": _said("funding"),
}


def chai_card(facts: Facts, record: StudyRecord) -> str:
    """The card, `chai-model-card.xml`."""
    ElementTree.register_namespace("", NAMESPACE)
    notes = Footnotes()
    root = ElementTree.Element(f"{{{NAMESPACE}}}AppliedModelCard")
    for element in CARD:
        _add(root, element, facts, record, notes)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _add(parent: ElementTree.Element, element: Element, facts: Facts, record: StudyRecord, notes: Footnotes) -> None:
    name = element if isinstance(element, str) else element[0]
    here = ElementTree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
    if not isinstance(element, str):
        for inner in element[1]:
            _add(here, inner, facts, record, notes)
    elif parent.tag.endswith("}KeyMetrics"):
        _add_metric(here, facts, record, notes)
    elif name == "Keyword":
        here.text = "federated learning"
    elif name == "Bibliography":
        here.text = "\n".join(_plain_marks(note) for note in notes.notes())
    else:
        here.text = _text(TEXTS.get(name, (NOT_STATED,)), facts, notes)


def _add_metric(here: ElementTree.Element, facts: Facts, record: StudyRecord, notes: Footnotes) -> None:
    """One of the three kinds of metrics: scores, those of groups, or those of calibration."""
    results = _results(here.tag.rpartition("}")[2], record)
    described = _SCORES[:2] if results else (Line("Not measured.", rests_on=(rests_on.NO_EVALUATION,)),)

    def add(parent: ElementTree.Element, name: str, text: str = "") -> ElementTree.Element:
        made = ElementTree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
        made.text = text or None
        return made

    add(here, "MetricGoal", _text((NOT_STATED,), facts, notes))
    listed = add(here, "Results")
    for label, value in (results or {"not measured": None}).items():
        one = add(listed, "MetricResult")
        add(one, "Label", label)
        add(one, "ValueJson", json.dumps(value))
    add(here, "Interpretation", _text(_SCORES[3:4] if results else (NOT_STATED,), facts, notes))
    add(here, "TestType", _text(described, facts, notes))
    add(here, "TestingDataDescription", _text(described, facts, notes))
    add(here, "ValidationProcessAndJustification", _text((NOT_STATED,), facts, notes))


def _results(kind: str, record: StudyRecord) -> dict[str, dict[str, float] | None]:
    judged = record.judgement
    if judged is None:
        return {}
    calibration = ("ece", "adaptive_ece", "brier")
    if kind == "FairnessEquity":
        named = {
            f"{one.column} {one.value}: {name}": score for one in judged.groups for name, score in one.scores.items()
        }
    else:
        wanted = kind == "SafetyReliability"
        named = {name: score for name, score in judged.scores.items() if (name in calibration) == wanted}
    return {
        name: {"value": score.value, "low": score.low, "high": score.high}
        for name, score in named.items()
        if score is not None
    }


def _text(lines: Sequence[Line], facts: Facts, notes: Footnotes) -> str:
    return " ".join(f"{one.text} {_plain_marks(notes.marks(one))}".strip() for one in tell(lines, facts))


def _plain_marks(text: str) -> str:
    return re.sub(r"\[\^(\d+)\]:?", r"[\1]", text)
