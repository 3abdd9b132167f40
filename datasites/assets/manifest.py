"""Manifests of picture stores. Of a manifest only its schema may cross the boundary; its counts never do."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from datasites.sources.class_names import check_class_names
from policies import validate
from policies.answers.hospital import DatasetSchema
from policies.answers.plain_values import to_plain
from policies.errors import DataError, PlanError, StoreBroken
from policies.plans.picture_form import LABEL_KINDS, MODALITIES, PictureForm
from policies.plans.tokeniser import TextForm
from policies.plans.training import UNITS, canonical_json

STORE_VERSION = 2
FIRST_VERSION = 1  # no pseudonyms: its sources cannot be compared with what a hospital has now
_ADDED_LATER = {
    "text": None,
    "form": None,
    "label_kind": "single",
    "modality": "other",
    "pseudonyms": "",
    "has_patients": False,
    "dataset_version": 1,
    "lineage": None,
}


@dataclass(frozen=True)
class StoreManifest:
    """The manifest of a store.

    Attributes:
        name: Public: the dataset's name.
        class_names: Public: names of the classes, in label order.
        image_shape: Public: (height, width, channels) in pixels.
        unit: Public: the privacy unit, a `picture` or a `patient` with all their pictures.
        public_size: Public: the declared number of units.
        num_pictures: Private: rows in the store.
        num_units: Private: units in the store.
        fingerprint: Private: `fingerprint` of the pictures; copies of a dataset share it, and so a privacy ledger.
        rows_digest: Private: SHA-256 of all that belongs to the rows, as stored: see `fingerprint.rows_digest`.
        version: Of the store's format.
        text: Public: the form of the reports; None where there are none.
        form: Public: how files became pictures; None where they came as arrays.
        label_kind: Public: `single` or `multi`; see `DatasetSchema`.
        modality: Public: what kind of pictures they are, as declared.
        pseudonyms: Private: the name of the secret that sources and patients have their pseudonyms under, never the
            secret; empty in stores of version 1, which keep none.
        has_patients: Private: whether the store keeps a pseudonym of each unit's patient.
        dataset_version: Private: which version of the dataset this is, from 1.
        lineage: Private: `budget_key` of the version that this one goes on from; None for a dataset's first.
    """

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    unit: str
    public_size: int
    num_pictures: int = field(repr=False)
    num_units: int = field(repr=False)
    fingerprint: str = field(repr=False)
    rows_digest: str = field(repr=False)
    version: int = STORE_VERSION
    text: TextForm | None = None
    form: PictureForm | None = None
    label_kind: str = "single"
    modality: str = "other"
    pseudonyms: str = field(default="", repr=False)
    has_patients: bool = field(default=False, repr=False)
    dataset_version: int = field(default=1, repr=False)
    lineage: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        validate.name("name", self.name)
        object.__setattr__(self, "class_names", check_class_names(self.class_names))
        object.__setattr__(self, "image_shape", tuple(self.image_shape))
        if len(self.image_shape) != 3:
            raise DataError("image_shape must be (height, width, channels).")
        for size in self.image_shape:
            validate.integer("image_shape", size, low=1, high=4096)
        validate.choice("unit", self.unit, UNITS)
        for count in ("public_size", "num_pictures", "num_units"):
            validate.integer(count, getattr(self, count), low=1, high=10**9)
        validate.digest("fingerprint", self.fingerprint)
        validate.digest("rows_digest", self.rows_digest)
        validate.integer("version", self.version, low=FIRST_VERSION, high=STORE_VERSION)
        if self.pseudonyms:
            validate.digest("pseudonyms", self.pseudonyms)
        validate.boolean("has_patients", self.has_patients)
        if self.text is not None and not isinstance(self.text, TextForm):
            raise DataError("text must be a form of reports, or absent.")
        if self.form is not None and not isinstance(self.form, PictureForm):
            raise DataError("form must be a form of pictures, or absent.")
        validate.choice("label_kind", self.label_kind, LABEL_KINDS)
        validate.choice("modality", self.modality, MODALITIES)
        validate.integer("dataset_version", self.dataset_version, low=1, high=10**6)
        if self.lineage is not None:
            validate.digest("lineage", self.lineage)

    @property
    def budget_key(self) -> str:
        """What the ledger knows the dataset by: the first version's fingerprint, which all versions share."""
        return self.lineage or self.fingerprint

    @property
    def public(self) -> DatasetSchema:
        """The public part.

        Guarantees:
            No value in it is computed from pictures, labels, reports or patients, except the image shape and, where the
            hospital declared no public size, the number of units rounded up to two significant digits (below 100 to
            one).
        """
        return DatasetSchema(**{one.name: getattr(self, one.name) for one in fields(DatasetSchema)})

    def schema(self) -> dict[str, Any]:
        """The public part as plain values, for PySyft's catalogue and the mock."""
        return dict(to_plain(self.public))

    def to_json(self) -> str:
        """Canonical JSON of all fields, for the store's own folder."""
        values = asdict(self)
        for name, usual in _ADDED_LATER.items():
            if values[name] == usual:
                del values[name]  # so a store that has none of it reads as it always did
        return canonical_json(values)

    @classmethod
    def from_json(cls, text: str) -> StoreManifest:
        """Reads what `to_json` writes.

        Raises:
            StoreBroken: Not that.
        """
        try:
            values = json.loads(text)
            if {*_ADDED_LATER, *values} != {f.name for f in fields(cls)}:
                raise DataError("The manifest must hold exactly its known fields.")
            forms = {
                "text": TextForm.from_dict(values.get("text")),
                "form": PictureForm.from_dict(values.get("form")),
            }
            return cls(**{**values, **forms})
        except (ValueError, TypeError, RecursionError, PlanError, DataError) as error:
            raise StoreBroken(
                "The store's manifest cannot be read. Restore the store from a copy, or ingest the pictures anew.",
                private=str(error),
            ) from error
