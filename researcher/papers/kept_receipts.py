"""The hospitals' signed receipts as a study's folder keeps them, each verified with the key beside it.

A study that steps by a Gram matrix rests on two requests at each hospital, and keeps the receipts of both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from policies.answers import rounded
from policies.answers.odds import at_each_rate, odds
from policies.answers.sentence import Sentence
from policies.budget.accountant import epsilon_spent
from policies.budget.membership import membership_bounds
from policies.budget.steps import GaussianSteps, merged
from policies.errors import ConfigError, ReceiptInvalid
from policies.ledger.receipt import MAX_RECEIPT_BYTES, Receipt, verify
from policies.plans.releases import GramPlan
from policies.plans.server.server_spec import BY_A_GRAM
from researcher.studies.kept_plan import GRAM_RECEIPTS, RECEIPTS

_SUFFIX = ".receipt.json"


@dataclass(frozen=True)
class KeptReceipt:
    """A receipt that verified.

    Attributes:
        receipt: What the hospital signed.
        sha256: Of the file.
        public_key: Of the hospital's datasite, hexadecimal, as the file beside it states.
        gram: Of the Gram matrix that the hospital released for the study, a request of its own; None without one.
    """

    receipt: Receipt
    sha256: str
    public_key: str
    gram: KeptReceipt | None = None

    @property
    def hospital(self) -> str:
        """The datasite's name."""
        return self.receipt.datasite

    @property
    def spend(self) -> tuple[GaussianSteps, ...]:
        """What the study spent there, its Gram matrix too."""
        return merged((*self.receipt.spend, *(self.gram.receipt.spend if self.gram else ())))

    @property
    def names_gram(self) -> bool:
        """Whether `gram` charges for a matrix: one from before it left charges nothing."""
        return self.gram is not None and bool(self.gram.receipt.spend)

    @property
    def released(self) -> str:
        """The SHA-256 of what left on a request of one round, a Gram matrix's; empty where nothing was charged."""
        return self.receipt.rounds[0].update_digest if self.receipt.rounds else ""

    @cached_property
    def epsilon(self) -> float | None:
        """Of `spend`, at the receipt's delta, and never less than the receipt states; None without privacy."""
        stated, delta = self.receipt.epsilon, self.receipt.delta
        if self.gram is None or stated is None or delta is None:
            return stated
        return max(stated, epsilon_spent(self.spend, delta))

    def as_odds(self) -> tuple[Sentence, ...]:
        """What `spend` means for one privacy unit."""
        if self.epsilon is None:
            return (odds(None, self.receipt.unit),)
        bounds = membership_bounds(self.spend)
        return odds(bounds, self.receipt.unit), at_each_rate(bounds)

    @property
    def cost(self) -> str:
        """What the study cost there, in words."""
        stated = self.receipt
        if self.epsilon is None or stated.delta is None:
            return "without differential privacy"
        told = f"{rounded.at_delta(self.epsilon, stated.delta)} per {stated.unit}"
        if self.names_gram:
            return f"{told}, its Gram matrix included"
        return f"{told}, and no receipt of a Gram matrix that left it" if _steps_by_a_gram(self) else told


def receipt_files(study: Path) -> list[Path]:
    """The receipts' files of a study's folder, its Gram matrix's after its own, in the order of their names."""
    return [file for folder in (RECEIPTS, GRAM_RECEIPTS) for file in _in(study / folder)]


def read_receipts(study: Path) -> tuple[KeptReceipt, ...]:
    """The receipts of a study's folder, by the hospitals' names.

    Guarantees:
        Each was signed with the key in the file beside it, is whole to the last byte, and names a hospital of its own.
        A study that steps by a Gram matrix has receipts of it too, of the features that its head reads, each signed
        with the same key as the hospital's other one.

    Args:
        study: Its folder.

    Raises:
        ConfigError: There is none, or none of the Gram matrix that the study steps by, or a file cannot be read.
        ReceiptInvalid: One does not verify, or two are of one hospital, or they do not go together.
    """
    files = _in(study / RECEIPTS)
    if not files:
        raise ConfigError(f"{study / RECEIPTS} holds no receipt. {_where_to_look(study)}")
    found = _each(study / RECEIPTS, files)
    if not any(_steps_by_a_gram(one) for one in found.values()):
        return tuple(found.values())
    grams = _grams(study, found.values())
    return tuple(replace(one, gram=grams.get(name)) for name, one in found.items())


def grams_alone(study: Path, receipts: Iterable[KeptReceipt]) -> tuple[KeptReceipt, ...]:
    """The receipts of a study's Gram matrix of those hospitals that gave no receipt of the study.

    Args:
        study: Its folder.
        receipts: As `read_receipts` gives them.

    Raises:
        As of `read_receipts`.
    """
    receipts = tuple(receipts)
    if not any(_steps_by_a_gram(one) for one in receipts):
        return ()
    taken = {one.hospital for one in receipts}
    return tuple(one for name, one in _grams(study, receipts).items() if name not in taken)


def _in(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{_SUFFIX}"))


def _each(folder: Path, files: Iterable[Path]) -> dict[str, KeptReceipt]:
    """Datasite → its receipt, by the names of the datasites."""
    found: dict[str, KeptReceipt] = {}
    for file in files:
        kept = _read(file)
        if kept.hospital in found:
            raise ReceiptInvalid(f"Two receipts are of {kept.hospital}. Keep the latest in {folder}.")
        found[kept.hospital] = kept
    return dict(sorted(found.items()))


def _steps_by_a_gram(one: KeptReceipt) -> bool:
    server = one.receipt.plan.get("server")
    return isinstance(server, dict) and server.get("strategy") == BY_A_GRAM


def _grams(study: Path, receipts: Iterable[KeptReceipt]) -> dict[str, KeptReceipt]:
    """Datasite → the receipt of its Gram matrix; refused where it does not go with the study's own."""
    folder = study / GRAM_RECEIPTS
    found = _each(folder, _in(folder))
    if not found:
        raise ConfigError(
            f"The study steps by a Gram matrix, and {folder} holds no receipt of it. Fetch them into the matrix's "
            f"folder, 'python -m researcher receipts --out GRAM', and copy GRAM/{RECEIPTS} to {folder}."
        )
    for one in receipts:
        for gram in found.values():
            if gram.receipt.plan.get("kind") != GramPlan.kind or not _same_features(one, gram):
                raise ReceiptInvalid(f"{_told(folder, gram)} is not of a Gram matrix of the features of {_study(one)}.")
            if gram.receipt.unit != one.receipt.unit:
                raise ReceiptInvalid(
                    f"{_told(folder, gram)} counts by {gram.receipt.unit}, {_study(one)} by {one.receipt.unit}."
                )
        own = found.get(one.hospital)
        if own is not None and own.public_key != one.public_key:
            raise ReceiptInvalid(
                f"{_told(folder, own)} was signed with another key than its other receipt. Fetch both again."
            )
    return found


def _same_features(one: KeptReceipt, gram: KeptReceipt) -> bool:
    models = [each.receipt.plan.get("model") for each in (one, gram)]
    fields = [
        {name: model.get(name) for name in ("name", "image_shape", "options")} if isinstance(model, dict) else None
        for model in models
    ]
    return fields[0] is not None and fields[0] == fields[1]


def _told(folder: Path, gram: KeptReceipt) -> str:
    return f"{gram.hospital}'s receipt in {folder}"


def _study(one: KeptReceipt) -> str:
    return f"'{one.receipt.study}'"


def _where_to_look(study: Path) -> str:
    """What to do about a folder without receipts: the demo keeps them beside its studies, with the model."""
    for above in study.parents[:2]:
        if receipt_files(above):
            return f"They lie in {above}, with the model of all hospitals: give that folder."
    return f"Fetch them: python -m researcher receipts --out {study}."


def key_file_of(receipt: Path) -> Path:
    """The file of the key that a receipt's file verifies with."""
    return receipt.with_name(receipt.name.removesuffix(_SUFFIX) + ".key")


def _read(file: Path) -> KeptReceipt:
    key_file = key_file_of(file)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_RECEIPT_BYTES + 1)
        key = key_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} and its key beside it cannot be read. Fetch the receipts again.") from error
    try:
        return KeptReceipt(verify(content, key), hashlib.sha256(content).hexdigest(), key)
    except ReceiptInvalid as error:
        raise ReceiptInvalid(f"{file.name}: {error.public}") from error
