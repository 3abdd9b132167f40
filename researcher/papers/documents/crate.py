"""The study as a Five Safes RO-Crate (profile 0.4 of TRE-FX): who asked, who signed off, what was checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from researcher.papers.facts import Fact, Facts
from researcher.papers.study_record import StudyRecord

ROOT, DESCRIPTOR = "./", "ro-crate-metadata.json"
CONTEXT, SPECIFICATION = "https://w3id.org/ro/crate/1.2/context", "https://w3id.org/ro/crate/1.2"
PROFILE, SAFE_HAVEN = "https://w3id.org/5s-crate/0.4", "https://w3id.org/shp#"
DONE, UNDER_WAY = "http://schema.org/CompletedActionStatus", "http://schema.org/ActiveActionStatus"
_WORKFLOW, _PROJECT, _RESEARCHER, _PLATFORM, _RUN = "#workflow", "#project", "#researcher", "#wanwu", "#training"
_TYPES = {".md": "text/markdown", ".json": "application/json", ".xml": "application/xml", ".key": "text/plain"}
_Entity = dict[str, object]


def crate(facts: Facts, record: StudyRecord, files: Mapping[str, str]) -> str:
    """The metadata file.

    Args:
        facts: What is known.
        record: The study.
        files: Every other file of the pack: name → SHA-256.
    """
    actions = list(_actions(facts, record))
    newest = max(one.receipt.issued_at for one in record.receipts)
    study = facts.study["study"].value
    graph: list[_Entity] = [
        {
            "@id": DESCRIPTOR,
            "@type": "CreativeWork",
            "about": _to(ROOT),
            "conformsTo": _to(SPECIFICATION),
        },
        {
            "@id": ROOT,
            "@type": "Dataset",
            "name": f"Study {study}",
            "description": f"The study '{study}', its model and its papers. {facts.study['plan_digest'].source}.",
            "conformsTo": _to(PROFILE),
            "datePublished": newest,
            "license": facts.study["license"].value if "license" in facts.study else "Not stated",
            "hasPart": [_to(name) for name in files],
            "mainEntity": _to(_WORKFLOW),
            "mentions": [_to(str(action["@id"])) for action in actions],
            "publisher": _to("#hospital-1"),
            "sourceOrganization": _to(_PROJECT),
        },
        {"@id": PROFILE, "@type": ["CreativeWork", "Profile"], "name": "Five Safes RO-Crate profile"},
        {
            "@id": _WORKFLOW,
            "@type": "Dataset",
            "name": "Federated training by the approved plan",
            "description": f"The plan with SHA-256 {facts.study['plan_digest'].value}, run by the hospitals' own code.",
            "conformsTo": _to("https://w3id.org/workflowhub/workflow-ro-crate/1.0"),
        },
        _person(facts),
        {
            "@id": _PROJECT,
            "@type": "Project",
            "name": study,
            "member": [_to(_hospital_id(n)) for n, _ in _numbered(facts)],
        },
        {"@id": _PLATFORM, "@type": "SoftwareApplication", "name": "Wanwu", "provider": _to("#hospital-1")},
        *map(_organization, _numbered(facts)),
        *actions,
        *(_file(name, digest) for name, digest in files.items()),
    ]
    if institution := facts.study.get("institution"):
        graph.append({"@id": "#institution", "@type": "Organization", "name": institution.value})
    return json.dumps({"@context": CONTEXT, "@graph": graph}, indent=1, ensure_ascii=False) + "\n"


def _actions(facts: Facts, record: StudyRecord) -> Iterator[_Entity]:
    ended = all(one.receipt.state == "ended" for one in record.receipts)
    done = max(one.receipt.issued_at for one in record.receipts)
    yield {
        "@id": _RUN,
        "@type": "CreateAction",
        "name": f"Training of {facts.study['model_rounds'].value} round(s)",
        "actionStatus": DONE if ended else UNDER_WAY,
        "agent": _to(_RESEARCHER),
        "instrument": _to(_WORKFLOW),
        "object": [_to("study/receipts/" + name) for name in _receipt_names(record)],
        "result": [_to(f"study/{record.model.name}")],
        **({"endTime": done} if ended else {}),
    }
    yield _check(
        "#check", "CheckValue", "Signatures of receipts, their figures and the model's digest: hold", _PLATFORM, done
    )
    yield _check("#validation", "ValidationCheck", "Written by the Five Safes RO-Crate profile", _PLATFORM, done) | {
        "instrument": _to(PROFILE)
    }
    for number, one in _numbered(facts):
        kept = record.receipts[number - 1].receipt
        yield _check(
            f"#sign-off-{number}",
            "SignOff",
            f"{one['hospital'].value} approved the plan. {one['approval_digest'].source}",
            _hospital_id(number),
            kept.approved_at,
        ) | {"object": [_to(ROOT), _to(_WORKFLOW), _to(_PROJECT)]}
        cost = one.get("epsilon") or one.get("without_privacy")
        told = "" if cost is None else f"epsilon {cost.value}" if "epsilon" in one else cost.value
        yield _check(
            f"#disclosure-{number}",
            "DisclosureCheck",
            f"{one['hospital'].value}: {one['rounds_charged'].value} update(s) left through its output check, {told}. "
            f"{one['rounds_charged'].source}",
            _hospital_id(number),
            kept.issued_at,
        )


def _check(name: str, kind: str, told: str, agent: str, end: str) -> _Entity:
    return {
        "@id": name,
        "@type": "AssessAction",
        "additionalType": _to(f"{SAFE_HAVEN}{kind}"),
        "name": told,
        "object": _to(ROOT),
        "agent": _to(agent),
        "endTime": end,
        "actionStatus": DONE,
    }


def _organization(numbered: tuple[int, Mapping[str, Fact]]) -> _Entity:
    number, one = numbered
    return {"@id": _hospital_id(number), "@type": "Organization", "name": one["hospital"].value}


def _person(facts: Facts) -> _Entity:
    """Who asked, without a name or an address: receipts have these, for whom they concern."""
    member = {"memberOf": [_to(_PROJECT)]}
    if "institution" in facts.study:
        member["affiliation"] = _to("#institution")  # type: ignore[assignment]
    return {"@id": _RESEARCHER, "@type": "Person", "name": "The researcher whom the receipts name", **member}


def _file(name: str, digest: str) -> _Entity:
    suffix = name[name.rfind(".") :]
    kind = _TYPES.get(suffix, "application/octet-stream")
    return {"@id": name, "@type": "File", "name": name, "encodingFormat": kind, "sha256": digest}


def _receipt_names(record: StudyRecord) -> list[str]:
    return [f"{one.hospital}.receipt.json" for one in record.receipts]


def _numbered(facts: Facts) -> list[tuple[int, Mapping[str, Fact]]]:
    return list(enumerate(facts.hospitals, 1))


def _hospital_id(number: int) -> str:
    return f"#hospital-{number}"


def _to(name: str) -> dict[str, str]:
    return {"@id": name}
