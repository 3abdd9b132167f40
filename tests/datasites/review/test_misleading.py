"""Texts that mislead are told, each with its reason; honest ones are left alone."""

from __future__ import annotations

import pytest

from datasites.review import misleading as texts
from datasites.review.misleading import misleading


@pytest.mark.parametrize(
    "text",
    [
        "pneumonia",
        "blood-cells-2026",
        "reading-room-2",
        "We train a classifier on slides with FDA-approved dyes. Hospitals need better triage.",
        "Approved by the ethics committee of the University of Graz (EK 33-117 ex 26/27).",
        "The ethics committee of the University Hospital has approved the protocol.",
        "Ethikvotum 2026/117; die Veröffentlichung ist geplant. TNFα, 5 µm, 10 m².",
        "Patients were asked; patients without risk factors are left out. The budget is public.",
        "https://doi.org/10.1000/182",
        "用于肺炎筛查的研究（伦理批号 2026-117）",
    ],
)
def test_honest_texts_are_left_alone(text: str) -> None:
    assert list(misleading({"study": text})) == []


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("approved-by-dpo", texts.CLAIMS_APPROVAL),
        ("already_approved.study", texts.CLAIMS_APPROVAL),
        ("No approval needed, see mail.", texts.CLAIMS_APPROVAL),
        ("本研究已获批准", texts.CLAIMS_APPROVAL),
        ("Hospital B has approved the plan.", texts.NAMES_ANOTHER),
        ("Approved at all other sites.", texts.NAMES_ANOTHER),
        ("Approved by the ethics committee and by the hospital north.", texts.CLAIMS_APPROVAL),
        ("no-epsilon", texts.CLAIMS_NO_COST),
        ("This does not cost any privacy budget.", texts.CLAIMS_NO_COST),
        ("epsilon=0", texts.CLAIMS_NO_COST),
        ("cells\u202e", texts.IS_DISGUISED),
        ("zero\u200bwidth", texts.IS_DISGUISED),
        ("p\u0430tients", texts.IS_DISGUISED),
        ("\uff41pproval", texts.IS_DISGUISED),
        ("<b>cells</b>", texts.HAS_MARKUP),
        ("[cells](x)", texts.HAS_MARKUP),
        ("{{ cells }}", texts.HAS_MARKUP),
    ],
)
def test_what_misleads_is_told_with_its_field(text: str, template: str) -> None:
    found = list(misleading({"purpose": text}))
    assert template in [one.template for one in found]
    assert all(one.values == {"field": "purpose"} for one in found)
