"""Croissant metadata (MLCommons, 1.0) of the hospitals' pictures and of the mock: the form alone, never a count."""

from __future__ import annotations

import json
from collections.abc import Iterator

from researcher.papers.facts import Facts
from researcher.papers.study_record import StudyRecord
from researcher.papers.words import Words

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_CROISSANT = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format"),
    *("includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
CONTEXT: dict[str, object] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in _CROISSANT},
}


def croissants(facts: Facts, record: StudyRecord, words: Words) -> dict[str, str]:
    """File's name → metadata: of the pictures, which never leave, and of their mock."""
    of_pictures = [
        _object(f"store-{number}", f"urn:wanwu:dataset:{one['dataset_mark'].value}", one["dataset_mark"].source)
        for number, one in enumerate(facts.hospitals, 1)
    ]
    private = (
        "The form of the pictures that the study was trained on. They lie at the hospitals and never leave: an address "
        "here is a hospital's own mark of its dataset, as its signed receipt states it. How many there are is not told."
    )
    mock = (
        "The form of the mock that each hospital's datasite shows researchers: drawn from the public schema alone, so "
        "it shows nobody and says nothing of how the pictures are spread over the classes."
    )
    made = [_object("mock", f"urn:wanwu:mock:{facts.study['plan_digest'].value}", facts.study["plan_digest"].source)]
    return {
        "croissant.json": _metadata("pictures", private, of_pictures, facts, record, words),
        "croissant-mock.json": _metadata("mock", mock, made, facts, record, words),
    }


def _object(name: str, address: str, source: str) -> dict[str, object]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": f"Rests on: {source}.",
        "contentUrl": address,
        "encodingFormat": "application/octet-stream",
    }


def _metadata(
    kind: str, description: str, stores: list[dict[str, object]], facts: Facts, record: StudyRecord, words: Words
) -> str:
    study = facts.study["study"].value
    newest = max(one.receipt.issued_at for one in record.receipts)
    names = facts.study["class_names"]
    values = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": f"{study}-{kind}",
        "description": description,
        "conformsTo": CONFORMS_TO,
        "citeAs": f"Study {study}, plan SHA-256 {facts.study['plan_digest'].value}",
        "license": words.license or "Not stated",
        "url": f"urn:wanwu:plan:{facts.study['plan_digest'].value}",
        "version": "1.0.0",
        "datePublished": newest[:10],
        "isLiveDataset": True,
        "distribution": stores,
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "classes",
                "name": "classes",
                "description": f"Rests on: {names.source}.",
                "key": {"@id": "classes/index"},
                "field": [
                    _field("classes/index", "sc:Integer", "Place among the model's outputs."),
                    _field("classes/name", "sc:Text", "Name of the class or finding."),
                ],
                "data": [
                    {"classes/index": place, "classes/name": name}
                    for place, name in enumerate(record.model.class_names)
                ],
            },
            *(_records(str(store["@id"]), " ".join(_form(facts)), record) for store in stores),
        ],
    }
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def _form(facts: Facts) -> Iterator[str]:
    """What is known of a picture, each with what it rests on."""
    told = {
        "picture_shape": "{} (height, width, channels).",
        "modality": "Modality: {}.",
        "picture_form": "Files became pictures so: {}.",
    }
    for name, text in told.items():
        if (fact := facts.study.get(name)) is not None:
            yield f"{text.format(fact.value)} Rests on: {fact.source}."


def _records(store: str, shape: str, record: StudyRecord) -> dict[str, object]:
    at = f"{store}/pictures"
    multi = record.plan.model.label_kind == "multi"
    label = "For each finding 1 where present, 0 where absent, -1 where nobody knows." if multi else "The class."
    labels = _field(f"{at}/label", "sc:Integer", label, store, "label")
    if multi:
        labels["repeated"] = True
    else:
        labels["references"] = {"field": {"@id": "classes/index"}}
    return {
        "@type": "cr:RecordSet",
        "@id": at,
        "name": at,
        "description": f"One record a picture; the privacy unit is a {record.receipts[0].receipt.unit}.",
        "field": [_field(f"{at}/image", "sc:ImageObject", shape, store, "image"), labels],
    }


def _field(name: str, kind: str, description: str, store: str = "", column: str = "") -> dict[str, object]:
    field: dict[str, object] = {
        "@type": "cr:Field",
        "@id": name,
        "name": name,
        "description": description,
        "dataType": kind,
    }
    if store:
        field["source"] = {"fileObject": {"@id": store}, "extract": {"column": column}}
    return field
