"""Texts of a plan that would mislead who reads them: claims that nobody but the hospital can make, and disguises.

Rules of thumb, which a person's reading stands beside: a text that none of them finds can be untrue all the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

from policies.answers.sentence import Sentence, said
from policies.untrusted_text import is_plain

CLAIMS_APPROVAL = "{field} says that somebody has approved or allowed this. Only this hospital's votes decide."
CLAIMS_NO_COST = "{field} says that this costs no epsilon or bears no risk. What it costs is computed above."
NAMES_ANOTHER = "{field} tells of another hospital's decision. Only a signed receipt of that hospital shows one."
HAS_MARKUP = "{field} holds markup, which is shown as plain text."
IS_DISGUISED = "{field} mixes letters that look alike, or holds characters that cannot be seen."

_DECIDED = r"(?:approved|authori[sz]ed|cleared|signed off|green lit|waived)"
_APPROVAL = re.compile(
    rf"\b(?:already|pre|been|was|is|are|were|fully|has|have|by|being) {_DECIDED}\b"
    rf"|\b{_DECIDED} (?:by|at|here|already|before|elsewhere|for release|in advance)\b"
    r"|\bno (?:approval|review|vote|decision) (?:is )?(?:needed|required|necessary)\b|\bauto ?approve"
    r"|已(?:经|获)?(?:得到)?批准|无需(?:审批|批准|审查)",
    re.IGNORECASE,
)
_ANOTHER = re.compile(
    rf"\b(?:hospitals?|clinics?|datasites?|sites?|klinikum|charité)\b[^.]{{0,40}}\b{_DECIDED}\b"
    rf"|\b{_DECIDED} (?:by|at|in) (?:the |all |other |every |each )*(?:hospitals?|clinics?|datasites?|sites?)\b"
    r"|医院[^。]{0,20}批准",
    re.IGNORECASE,
)
_ETHICS = re.compile(r"\b(?:ethics?|ethical|ethik\w*|irb|institutional review board|rec)\b|伦理", re.IGNORECASE)
# Beside an ethics committee in one clause, somebody else who is said to have decided.
_AND_MORE = re.compile(
    r"\band (?:by |at |in )?(?:the |your |our |other |all )*(?:hospital|datasite|site|data protection)", re.IGNORECASE
)
_NO_COST = re.compile(
    r"\b(?:no|zero|without|free of|0|nil|negligible|needs? no|costs? no)"
    r" (?:privacy |any )*(?:epsilon|privacy (?:budget|cost|loss|risks?)|risks? (?:to|for) patients?)\b"
    r"|\b(?:epsilon|budget|risk) free\b|\bepsilon ?(?:=|is|of)? ?(?:0(?! \d)|zero|none)\b"
    r"|\b(?:does not|will not|won't|doesn't) (?:cost|use|spend|need) (?:any )?(?:epsilon|budget|privacy)\b"
    r"|(?:不消耗|无需|不需要|没有)(?:任何)?(?:隐私)?(?:预算|风险|成本)",
    re.IGNORECASE,
)
_MARKUP = re.compile(
    r"</?[a-z!][^<>]*>?|&(?:#\d+|#x[0-9a-f]+|[a-z]+);|\[[^\]]*\]\([^)]*\)|\b(?:javascript|data):|\{\{|\{%",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")
_LIKE_LATIN = frozenset("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧνοϲϳ")


def misleading(texts: Mapping[str, str]) -> Iterator[Sentence]:
    """What misleads in texts, by the name of their field; nothing for honest ones.

    An ethics committee's approval may be told: it is no decision of a hospital's.
    """
    for field, text in texts.items():
        if not is_plain(text) or _looks_alike(text):
            yield said(IS_DISGUISED, field=field)
        if _MARKUP.search(text):
            yield said(HAS_MARKUP, field=field)
        normal = unicodedata.normalize("NFKC", text)
        plain = re.sub(r"[\s_.\-/]+", " ", normal)
        clauses = [re.sub(r"[\s_\-/]+", " ", one) for one in re.split(r"[.;!?。；！？\n]", normal)]
        told = [one for one in (*clauses, plain) if not _ETHICS.search(one) or _AND_MORE.search(one)]
        if any(_ANOTHER.search(one) for one in told):
            yield said(NAMES_ANOTHER, field=field)
        elif any(_APPROVAL.search(one) for one in told):
            yield said(CLAIMS_APPROVAL, field=field)
        if _NO_COST.search(plain):
            yield said(CLAIMS_NO_COST, field=field)


def _looks_alike(text: str) -> bool:
    """Whether a word mixes scripts that look alike, or writes Latin letters by other characters."""
    for word in _WORD.findall(text):
        scripts = {unicodedata.name(letter, "").split(" ")[0] for letter in word if letter.isalpha()}
        if "LATIN" in scripts and ("CYRILLIC" in scripts or _LIKE_LATIN & set(word)):
            return True
        if any(letter.isalpha() and letter not in "ªº" and _is_latin_written_otherwise(letter) for letter in word):
            return True
    return False


def _is_latin_written_otherwise(letter: str) -> bool:
    return not letter.isascii() and unicodedata.normalize("NFKC", letter).isascii()
