"""A study's record: the files that papers may rest on, each verified before anything is said of it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from policies.errors import ConfigError, EvidenceRefused, PlanError, ReceiptInvalid, WanwuError
from policies.inside_folder import inside
from policies.ledger.receipt_contents import Receipt
from policies.papers.bill_of_materials import DIGEST_FORM, bill_digest
from policies.papers.ledger_extract import MAX_EXTRACT_BYTES, LedgerExtract, read_extract
from policies.plans.releases import GramPlan
from policies.plans.training import TrainingPlan
from policies.untrusted_text import in_one_form
from researcher.counts.kept_gram import GRAM_FILE, KeptGram
from researcher.judgement.judgement import Judgement
from researcher.papers.backing import check_backing
from researcher.papers.kept_receipts import KeptReceipt, grams_alone, key_file_of, read_receipts, receipt_files
from researcher.papers.model_file import WEIGHTS, ModelFile, read_model_file
from researcher.studies.kept_plan import GRAM_RECEIPTS, RECEIPTS, STUDY_FILE

EXTRACTS, EXTRACT_SUFFIX = "ledger", ".ledger.json"
BILLS_SUFFIX = ".sbom.json"
MODEL_FILE = "global_model.safetensors"


@dataclass(frozen=True)
class StudyRecord:
    """A study whose files hold together.

    Attributes:
        plan: Of the first hospital; the others' differ in the dataset's name alone.
        receipts: By the hospitals' names.
        grams_alone: Of the Gram matrix that the study steps by, of hospitals that have none of the study.
        extracts: Datasite → its ledger's extract, where it gave one.
        model: The model's file, which the receipts stand behind.
        judgement: How well the model does on public test data; None where no evaluation was given.
        files: Every file that was read.
    """

    plan: TrainingPlan
    receipts: tuple[KeptReceipt, ...]
    grams_alone: tuple[KeptReceipt, ...]
    extracts: dict[str, tuple[LedgerExtract, str]]
    model: ModelFile
    judgement: Judgement | None
    files: tuple[Path, ...]


def read_record(study: Path, model: Path, evaluation: Path | None) -> StudyRecord:
    """Reads a study's folder.

    Guarantees:
        Every receipt and extract is, to the last byte, what its hospital signed; they are of one study and plan; the
        model's weights are those that its sidecar describes, and its plan, rounds and costs those of the receipts; an
        evaluation is of this very file; a bill of materials beside a receipt is the one that the receipt names; of each
        hospital whose Gram matrix the study keeps there is a receipt of it, which names that very matrix by its digest.

    Args:
        study: The folder: `receipts`, `gram_receipts` where it steps by a Gram matrix, and `ledger` where hospitals
            gave extracts.
        model: The model's file.
        evaluation: A judgement, as `evaluate --json` writes it.

    Raises:
        EvidenceRefused, ReceiptInvalid, ConfigError: Something does not hold; the text names the file.
    """
    found, receipts, alone = read_backed(study, model)
    plan = _plan(study, receipts, found)
    judgement = None if evaluation is None else _judgement(evaluation, found)
    extracts = {}
    for file in sorted((study / EXTRACTS).glob(f"*{EXTRACT_SUFFIX}")):
        extract = _extract(file, receipts)
        if extract.datasite in extracts:
            raise EvidenceRefused(f"Two extracts are of {extract.datasite}. Keep the latest in {study / EXTRACTS}.")
        extracts[extract.datasite] = (extract, _sha256(file))
    _check_bills(study, receipts)
    files = [file for one in receipt_files(study) for file in (one, key_file_of(one))]
    files += sorted((study / EXTRACTS).glob(f"*{EXTRACT_SUFFIX}")) + sorted((study / RECEIPTS).glob(f"*{BILLS_SUFFIX}"))
    files += [model, *([model.with_suffix(".json")] if model.suffix == WEIGHTS else [])]
    files += [one for one in (evaluation, study / STUDY_FILE, study / GRAM_FILE) if one is not None and one.is_file()]
    return StudyRecord(plan, receipts, alone, extracts, found, judgement, tuple(files))


def read_backed(study: Path, model: Path) -> tuple[ModelFile, tuple[KeptReceipt, ...], tuple[KeptReceipt, ...]]:
    """A model's file, the receipts of a study that stand behind it, and those of hospitals that gave a matrix alone.

    Args:
        study: The folder.
        model: The model's file.

    Raises:
        EvidenceRefused, ReceiptInvalid, ConfigError: They do not stand behind it, or a file cannot be read.
    """
    found, receipts = read_model_file(model), read_receipts(study)
    alone = grams_alone(study, receipts)
    check_backing(found, receipts, alone)
    check_matrix(study, receipts, alone, found)
    return found, receipts, alone


def _plan(study: Path, receipts: tuple[KeptReceipt, ...], model: ModelFile) -> TrainingPlan:
    """The plan that was approved; a `study.json` beside it must hold the same."""
    try:
        plan = TrainingPlan.from_json(json.dumps(dict(receipts[0].receipt.plan)))
    except PlanError as error:
        raise EvidenceRefused(f"The receipts' plan is none of training by this version: {error.public}") from error
    if model.model != plan.model or len(model.class_names) != plan.model.num_classes:
        raise EvidenceRefused(f"{model.name} says that it is another model than the plan's. Take the study's own.")
    file = study / STUDY_FILE
    if file.is_file():
        try:
            values = json.loads(file.read_bytes())
            kept, requests = TrainingPlan.from_json(values["plan"]), values["requests"]
            asked = {name: str(one["request_id"]) for name, one in requests.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, PlanError) as error:
            raise EvidenceRefused(f"{file} was changed or cut. Take the folder's original.") from error
        if kept.digest() != model.plan_digest:
            raise EvidenceRefused(f"{file} holds another plan than the model's. Take the folder's original.")
        for one in receipts:
            if asked.get(one.hospital) != one.receipt.request_id:
                raise EvidenceRefused(
                    f"{file} names another request at {one.hospital} than its receipt. Fetch it again."
                )
    return plan


def _judgement(file: Path, model: ModelFile) -> Judgement:
    try:
        judgement = Judgement.from_json(file.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read. Write it: python -m researcher evaluate ... --json {file}."
        ) from error
    except WanwuError as error:
        raise EvidenceRefused(f"{file.name} was changed or is no evaluation: {error.public}") from error
    names = in_one_form(judgement.model.class_names)
    if judgement.model.sha256 != model.sha256 or names != in_one_form(model.class_names):
        raise EvidenceRefused(f"{file.name} judges another file than {model.name}. Evaluate this one.")
    return judgement


def _extract(file: Path, receipts: tuple[KeptReceipt, ...]) -> LedgerExtract:
    try:
        with file.open("rb") as stream:
            signed = read_extract(stream.read(MAX_EXTRACT_BYTES + 1))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read.") from error
    except ReceiptInvalid as error:
        raise EvidenceRefused(f"{file.name}: {error.public}") from error
    extract = signed.extract
    of = {one.hospital: one for one in receipts}.get(extract.datasite)
    if of is None or of.public_key != signed.public_key:
        raise EvidenceRefused(
            f"{file.name} was not signed with the key of one of the receipts. Ask its hospital again."
        )
    stated = (of.receipt.request_id, of.receipt.dataset_mark, of.receipt.plan_digest)
    if (extract.request_id, extract.dataset_mark, extract.plan_digest) != stated:
        raise EvidenceRefused(f"{file.name} is of another request, dataset or plan than {of.hospital}'s receipt.")
    if extract.rounds_charged != len(of.receipt.rounds):
        raise EvidenceRefused(
            f"{file.name} counts {extract.rounds_charged} rounds, the receipt {len(of.receipt.rounds)}. Fetch both at "
            "the same time."
        )
    return extract


def _check_bills(study: Path, receipts: tuple[KeptReceipt, ...]) -> None:
    named = {one.hospital: one.receipt.versions.get("sbom") for one in receipts}
    for file in sorted((study / RECEIPTS).glob(f"*{BILLS_SUFFIX}")):
        hospital = file.name.removesuffix(BILLS_SUFFIX)
        if named.get(hospital) != bill_digest(file.read_bytes()):
            raise EvidenceRefused(f"{file.name} is not the bill of materials that a receipt of {hospital} names.")


def sbom_of(receipt: KeptReceipt) -> str | None:
    """The digest of the hospital's bill of materials; None in receipts of versions before there was one."""
    named = receipt.receipt.versions.get("sbom")
    return named if named and DIGEST_FORM.fullmatch(named) else None


def check_matrix(
    study: Path, receipts: tuple[KeptReceipt, ...], alone: tuple[KeptReceipt, ...], model: ModelFile
) -> None:
    """Refuses a Gram matrix of a hospital whose receipt of it is missing, or is from before it left, or of another one.

    The folder's matrix is known by its arrays, or by the digests that it noted where only those are there, as in a pack
    of papers; by what the model's file names where it noted none, as release 0.2. A model of that release names none.

    Args:
        study: The folder that may keep a matrix.
        receipts: As `read_receipts` gives them.
        alone: As `grams_alone` gives them.
        model: That they stand behind.

    Raises:
        EvidenceRefused: There is such a hospital, or the matrix's file was changed.
    """
    file = study / GRAM_FILE
    if not file.is_file():
        return
    try:
        about = json.loads(file.read_bytes())
        names = {str(name) for name in about["datasites"]}
        if os.path.lexists(inside(study, about["arrays"]["file"])):
            digests = KeptGram.load(study).digests
        else:
            digests = {str(name): str(digest) for name, digest in about.get("digests", {}).items()}
        if "digests" in about and names != digests.keys():
            raise ValueError("its digests are of other hospitals")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, ConfigError) as error:
        raise EvidenceRefused(f"{file} was changed or cut. Take the folder's original.") from error
    charged = {one.hospital: one for one in (*(one.gram for one in receipts if one.gram), *alone) if one.receipt.spend}
    if missing := sorted(names - charged.keys()):
        raise EvidenceRefused(
            f"{file} holds the Gram matrix of {missing[0]}, and {study / GRAM_RECEIPTS} no receipt that charges it. "
            f"Fetch it into the matrix's folder with 'python -m researcher receipts --out GRAM', and copy "
            f"GRAM/{RECEIPTS} there."
        )
    other = sorted(at for at in names if charged[at].released not in model.gram.values())
    if other and not digests and not model.before_digests:
        raise EvidenceRefused(
            f"{file} notes no digest, and {model.name} does not name the Gram matrix of {other[0]} that its receipt "
            "charges. Take the originals of both."
        )
    for name in sorted(names & digests.keys()):
        if digests[name] != charged[name].released:
            raise EvidenceRefused(
                f"{file} holds another Gram matrix of {name} than the one that its receipt charges: SHA-256 "
                f"{digests[name][:12]} and {charged[name].released[:12]}. Take the receipts of the request that it "
                "came from, from the matrix's folder."
            )


def check_released(receipt: Receipt, folder: Path) -> str:
    """The SHA-256 of a folder's Gram matrix of a hospital, if a receipt of that hospital charges it.

    Args:
        receipt: That verified.
        folder: As `gram` wrote it, or a study's that keeps the matrix.

    Raises:
        ConfigError: The folder holds no matrix of that hospital, or it was changed.
        ReceiptInvalid: The receipt is of another matrix, or of none.
    """
    digest = KeptGram.load(folder).digests.get(receipt.datasite)
    if digest is None:
        raise ConfigError(f"{folder} holds no Gram matrix of {receipt.datasite}, which the receipt is of.")
    if receipt.plan.get("kind") != GramPlan.kind or digest not in {one.update_digest for one in receipt.rounds}:
        raise ReceiptInvalid(
            f"The receipt is valid, and does not charge the Gram matrix of {receipt.datasite} in {folder}, SHA-256 "
            f"{digest[:12]}. Take the receipt of the request that it came from."
        )
    return digest


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
