"""A model's papers, written and checked again: a pack is what its own signed files say, to the last byte."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import policies
from policies.answers.plain_values import from_plain, to_plain
from policies.errors import ConfigError, EvidenceRefused
from policies.papers.bill_of_materials import bill_of_materials
from policies.validate import Checks
from researcher.papers.documents.annex import annexes
from researcher.papers.documents.chai_card import chai_card
from researcher.papers.documents.crate import DESCRIPTOR, crate
from researcher.papers.documents.croissant import croissants
from researcher.papers.documents.model_card import model_card
from researcher.papers.documents.nist_sheet import nist_sheet
from researcher.papers.facts import WORDS_FILE, Fact, Facts, facts_of
from researcher.papers.lines import facts_by_name
from researcher.papers.study_record import EXTRACTS, MODEL_FILE, StudyRecord, read_record
from researcher.papers.words import Words, read_words
from researcher.studies.checkpoints import check_whole
from researcher.studies.kept_plan import GRAM_RECEIPTS, RECEIPTS

MANIFEST, BILL, STUDY, EVALUATION = "evidence.json", "sbom.cdx.json", "study", "evaluation.json"
PACK_VERSION = 1


def _line(checks: Checks, field: str, value: object) -> str:
    return checks.text(field, value, most=200)


@dataclass(frozen=True)
class Manifest:
    """What a pack says of itself.

    Attributes:
        version: Of this list.
        wanwu: Version that wrote it.
        model: Name of the model's file.
        files: Every other file: name → SHA-256.
        facts: Every fact, with what it rests on.
    """

    version: int
    wanwu: Annotated[str, _line]
    model: Annotated[str, _line]
    files: Mapping[str, str]
    facts: Mapping[str, Fact]


def write_pack(
    study: Path, out: Path, words: Words, *, model: Path | None = None, evaluation: Path | None = None
) -> Path:
    """Writes the papers of a study's model into a new folder, with the files that they rest on below `study`.

    Guarantees:
        Nothing is written unless every file holds, as `read_record` says.

    Args:
        study: The study's folder, with its receipts.
        out: The folder to make.
        words: The researcher's.
        model: The model's file; the study's own if not given.
        evaluation: A judgement of that file; the study's `evaluation.json`, where there is one, if not given.

    Raises:
        EvidenceRefused, ReceiptInvalid, ConfigError: A file does not hold, or `out` is there.
    """
    if model is None:
        check_whole(study)
        model = study / MODEL_FILE
    if evaluation is None and (study / EVALUATION).is_file():
        evaluation = study / EVALUATION
    if out.exists():
        raise ConfigError(f"{out} is there already. Give another folder with --out, or remove it.")
    record = read_record(study, model, evaluation)
    for name in words.hospitals:
        if name not in {one.hospital for one in record.receipts}:
            raise ConfigError(f"No receipt is of {name!r}, which --named names.")
    bill = bill_of_materials()
    facts = facts_of(record, words, bill)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as made:
        folder = Path(made) / out.name
        for file in record.files:
            inside = folder / STUDY / _place(file, study, evaluation)
            inside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, inside)
        (folder / WORDS_FILE).write_text(words.to_json(), encoding="utf-8")
        (folder / BILL).write_text(bill, encoding="utf-8")
        for name, text in _papers(facts, record, words).items():
            (folder / name).write_text(text, encoding="utf-8")
        (folder / DESCRIPTOR).write_text(crate(facts, record, _digests(folder)), encoding="utf-8")
        (folder / MANIFEST).write_text(_manifest(facts, record, _digests(folder)), encoding="utf-8")
        folder.rename(out)
    return out


def check_pack(pack: Path) -> StudyRecord:
    """Returns if a pack holds, from its own files alone.

    Guarantees:
        It has exactly the files that it lists, each with its digest; the signed files and the model hold, as
        `read_record` says; and every fact and paper is, to the last byte, what they give.

    Raises:
        EvidenceRefused, ReceiptInvalid, ConfigError: Something does not; the text names the file.
    """
    listed = _read_manifest(pack)
    found = _digests(pack)
    found.pop(MANIFEST, None)
    for name in sorted(listed.files.keys() | found.keys()):
        if listed.files.get(name) != found.get(name):
            how = "was changed" if name in found and name in listed.files else "is missing or was added"
            raise EvidenceRefused(f"{name} {how} since the papers were written. Take the pack's original.")
    evaluation = pack / STUDY / EVALUATION
    record = read_record(pack / STUDY, pack / STUDY / listed.model, evaluation if evaluation.is_file() else None)
    words, bill = read_words((pack / WORDS_FILE).read_bytes()), (pack / BILL).read_bytes()
    facts = facts_of(record, words, bill)
    papers = _papers(facts, record, words)
    for name, text in papers.items():
        if found.get(name) != hashlib.sha256(text.encode()).hexdigest():
            raise EvidenceRefused(f"{name} does not say what the study's files say. Write the papers again.")
    del found[DESCRIPTOR]
    papers[DESCRIPTOR] = crate(facts, record, found)
    found[DESCRIPTOR] = hashlib.sha256(papers[DESCRIPTOR].encode()).hexdigest()
    if (pack / MANIFEST).read_bytes() != _manifest(facts, record, found).encode():
        raise EvidenceRefused(f"{MANIFEST} or {DESCRIPTOR} does not say what the study's files say. Write them again.")
    return record


def _papers(facts: Facts, record: StudyRecord, words: Words) -> dict[str, str]:
    return {
        "README.md": model_card(facts, record, words),
        "chai-model-card.xml": chai_card(facts, record),
        "nist-sp-800-226.md": nist_sheet(facts),
        **croissants(facts, record, words),
        **{f"impact-assessment-annex.{language}.md": text for language, text in annexes(facts).items()},
    }


def _manifest(facts: Facts, record: StudyRecord, files: Mapping[str, str]) -> str:
    named = dict(sorted(facts_by_name(facts).items()))
    listed = Manifest(PACK_VERSION, policies.__version__, record.model.name, dict(sorted(files.items())), named)
    return json.dumps(to_plain(listed), indent=1, ensure_ascii=False) + "\n"


def _read_manifest(pack: Path) -> Manifest:
    changed = EvidenceRefused(f"{MANIFEST} was changed or cut. Take the pack's original.")
    try:
        values = json.loads((pack / MANIFEST).read_bytes())
    except OSError as error:
        raise ConfigError(f"{pack} holds no papers: {MANIFEST} cannot be read.") from error
    except (ValueError, RecursionError) as error:
        raise changed from error
    listed = from_plain(Manifest, values, lambda told: changed)
    if (listed.version, listed.wanwu) != (PACK_VERSION, policies.__version__):
        raise EvidenceRefused(f"{MANIFEST}: written by Wanwu {listed.wanwu}. Check the papers with that version.")
    if Path(listed.model).name != listed.model:
        raise changed
    return listed


def _place(file: Path, study: Path, evaluation: Path | None) -> Path:
    """Where a file of the study lies in the pack's copy of it."""
    if file == evaluation:
        return Path(EVALUATION)
    below = (study / RECEIPTS, study / GRAM_RECEIPTS, study / EXTRACTS)
    return file.relative_to(study) if file.parent in below else Path(file.name)


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its name from there."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_symlink() or (file.is_file() and not file.resolve().is_relative_to(folder.resolve())):
            raise EvidenceRefused(f"{file.name} is a link. A pack holds files only.")
        if file.is_file():
            with file.open("rb") as stream:
                found[file.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found
