"""The settings of one hospital's dataset: which pictures, what is said of them, and what of it researchers will see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from datasites import first_settings
from policies.answers.hospital import check_terms
from policies.errors import ConfigError
from policies.plans.picture_form import LABEL_KINDS, MODALITIES, RESIZES, STORE_BITS, WINDOWS, PictureForm
from policies.plans.tokeniser import MAX_TEXT_LENGTH, MAX_VOCABULARY, TextForm
from policies.settings import setting, setting_of
from policies.validate import Checks

KINDS = ("auto", "folder", "table", "npz", "dicom")
LEVELS = ("site", "class", "patient", "other")
ENCODINGS = ("auto", "utf-8", "utf-16", "gbk", "cp1252")
MATCHES = ("path", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "AccessionNumber", "PatientID")
SPLITS = ("train", "val", "test", "all")
FRAMES = ("one", "all", "middle")
IDENTITIES = ("name", "date", "record_number")
DICOM_KINDS = (
    "burned_in",
    "burned_in_unknown",
    "recognisable",
    "secondary_capture",
    "graphics",
    "slide_label",
    "localiser",
    "smaller_copy",
)
NAMED = "medmnist:"
FLAT = {
    "dataset": "name",
    "data_path": "data_path",
    "site": "site",
    "class_names": "class_names",
    "image_size": "size",
    "channels": "channels",
    "text_length": "text_length",
    "text_vocabulary": "text_vocabulary",
    "unit": "unit",
    "public_size": "public_size",
}
"""Settings that stood beside the others before there was a table [dataset], and what they are called in it."""
_KEYWORD = re.compile(r"[A-Z][A-Za-z0-9]{1,63}")
_checks = Checks(ConfigError)


@dataclass(frozen=True)
class DatasetSettings:
    """The table [dataset] of a datasite's settings. The help of each is in `docs/ref-settings.md`, made from here."""

    name: str = setting_of(first_settings.DATASET)
    data_path: str = setting_of(first_settings.DATA_PATH)
    kind: str = setting(
        "What data_path is: 'auto' looks. 'folder' has a folder per class, 'table' names each picture.",
        default="auto",
        choices=KINDS,
    )
    site: str = setting_of(first_settings.SITE)
    folder_levels: tuple[str, ...] = setting(
        "What the folders in data_path stand for, from the outermost: 'site', 'class', 'patient', 'other'. Empty takes "
        'one level of classes, or hospitals with classes where site is given. ["class", "patient"] for CLASS/PATIENT.',
        default=(),
    )
    table: str = setting("Table that names pictures of the folder data_path, or their labels.", default="")
    table_encoding: str = setting(
        "Encoding of a CSV or TSV table; 'auto' takes UTF-8, UTF-16 with its mark, and GBK where nothing else fits.",
        default="auto",
        choices=ENCODINGS,
    )
    table_sheet: str = setting(
        "Which sheet of an XLSX table; empty takes the one that has the named columns.", default=""
    )
    path_column: str = setting(
        "The table's column with each picture's path, or with what table_match names.", default="path"
    )
    table_match: str = setting(
        "What path_column holds: the path from data_path, or a DICOM identifier.", default="path", choices=MATCHES
    )
    label_columns: tuple[str, ...] = setting(
        "The table's column of classes; several columns of 0 and 1 are one class or finding each.", default=("label",)
    )
    label_separator: str = setting("What stands between several findings in one column, such as '|'.", default="")
    unknown_values: tuple[str, ...] = setting(
        "What stands in a finding's column where nobody knows, for label_kind 'multi'.", default=("", "-1", "-1.0")
    )
    no_finding: str = setting(
        "What stands in the column of several findings where there is none.", default="No Finding"
    )
    patient_column: str = setting("The table's column of patients; empty where there is none.", default="")
    site_column: str = setting("The table's column of hospitals; empty where there is none.", default="")
    report_column: str = setting("The table's column of reports; read only where text_length is not 0.", default="")
    labels_from: str = setting(
        "Where DICOM labels come from: 'folder', 'table', or an attribute such as BodyPartExamined.", default="folder"
    )
    label_kind: str = setting(
        "'single': one class for each picture. 'multi': 0, 1 or unknown for each finding.",
        default="single",
        choices=LABEL_KINDS,
    )
    class_names: tuple[str, ...] = setting(
        "Class names in label order; the data's own if empty. Give it where a hospital lacks a class.", default=()
    )
    split: str = setting(
        "Which part of an .npz file that is divided into parts (train_images, val_images, test_images). 'all' takes "
        "folders train and test within class folders, and in a table's paths, too; they are refused else.",
        default="train",
        choices=SPLITS,
    )
    unit: str = setting_of(first_settings.UNIT)
    size: tuple[int, int] = setting(
        "Height and width in pixels that pictures are brought to; [0, 0] keeps the data's own size.", default=(0, 0)
    )
    resize: str = setting(
        "How: 'stretch' both sides, 'fit' with black bars, 'fill' and crop the middle.",
        default="stretch",
        choices=RESIZES,
    )
    channels: int = setting("1 (grey) or 3 (colour); 0 takes 1 where every picture is grey, else 3.", default=0)
    bits: int = setting(
        "Significant bits of grey files of more than 8 bits that do not say so; 0 refuses those in doubt.", default=0
    )
    window: str = setting(
        "Which DICOM values become black and white: the file's own window, the picture's percentiles, or all.",
        default="file",
        choices=WINDOWS,
    )
    window_number: int = setting("Which of a DICOM file's windows, from 0.", default=0)
    square_pixels: bool = setting("Make pixels that are not square in the patient square first.", default=False)
    store_bits: int = setting("8 or 16 bits of each value that is kept; 16 for grey pictures alone.", default=8)
    modality: str = setting("What kind of pictures they are; researchers see it.", default="other", choices=MODALITIES)
    frames: str = setting(
        "Of a file of several pictures or slices: 'one' refuses it, 'all' takes each, 'middle' takes the middle one.",
        default="one",
        choices=FRAMES,
    )
    nifti_axis: int = setting(
        "How NIfTI volumes are cut into slices: 0 sagittal, 1 coronal, 2 axial; always as the patient lies.", default=2
    )
    most_left_out: float = setting(
        "Largest share of files that may be left out because they cannot be taken; above it nothing is.", default=0.01
    )
    safe_columns: tuple[str, ...] = setting(
        "Columns of the table that look like names, dates of birth or record numbers and are none.", default=()
    )
    safe_kinds: tuple[str, ...] = setting(
        "What file and folder names may look like although it is none: 'name', 'date', 'record_number'.", default=()
    )
    safe_dicom: tuple[str, ...] = setting(
        "Kinds of DICOM files that wait for a person, and of which one has looked at these: 'burned_in', "
        "'burned_in_unknown', 'recognisable', 'secondary_capture', 'graphics', 'slide_label', 'localiser', "
        "'smaller_copy'.",
        default=(),
    )
    text_length: int = setting(
        "Words of each picture's report that are kept, as numbers, for models that read reports; 0 leaves reports out.",
        default=0,
    )
    text_vocabulary: int = setting(
        "Numbers that words are hashed to, the same at every hospital of a study; fewer take less noise in training.",
        default=2048,
    )
    public_size: int = setting(
        "Size of the dataset that is made public; 0 rounds the number of units up to two digits, below 100 to one.",
        default=0,
    )
    terms_of_use: str = setting(
        "What the hospital asks of who uses the dataset, in one line that researchers see beside it.", default=""
    )

    def __post_init__(self) -> None:
        for field in fields(self):
            if isinstance(field.default, tuple):
                object.__setattr__(self, field.name, _tuple(field.name, getattr(self, field.name)))
        _checks.name("dataset name", self.name)
        for field in fields(self):
            if field.metadata["choices"]:
                _checks.choice(field.name, getattr(self, field.name), field.metadata["choices"])
            elif isinstance(field.default, str):
                _text(field.name, getattr(self, field.name))
        self._check_lists()
        self._check_numbers()
        if self.labels_from not in ("folder", "table") and not _KEYWORD.fullmatch(self.labels_from):
            raise ConfigError(
                "labels_from must be 'folder', 'table' or the keyword of a DICOM attribute such as BodyPartExamined, "
                f"got {self.labels_from!r}."
            )
        check_terms(_checks, "terms_of_use", self.terms_of_use)

    @property
    def text(self) -> TextForm | None:
        """The form in which reports are kept; None where they are left out."""
        return TextForm(self.text_length, self.text_vocabulary) if self.text_length else None

    @property
    def names_classes(self) -> bool:
        """Whether these settings say all names of classes or findings that will be public."""
        return bool(self.class_names) or len(self.label_columns) > 1

    def form(self, size: tuple[int, int], channels: int) -> PictureForm:
        """The form that pictures are read in.

        Args:
            size: (height, width) where these settings give none.
            channels: 1 or 3, likewise.

        Raises:
            PlanError: 16 bits are to be kept of pictures in colour.
        """
        return PictureForm(
            size=self.size if all(self.size) else size,
            channels=self.channels or channels,
            **{name: getattr(self, name) for name in FORM},
        )

    def beside(self, folder: Path) -> Self:
        """These settings with relative paths taken from `folder`."""
        return replace(self, data_path=_beside(folder, self.data_path), table=_beside(folder, self.table))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, where: str = "[dataset]") -> Self:
        """Reads a table [dataset].

        Raises:
            ConfigError: An unknown setting, or a value out of range.
        """
        known = [f.name for f in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise ConfigError(f"Unknown setting {unknown[0]!r} in {where}; known are {', '.join(known)}.")
        return cls(**values)

    def _check_lists(self) -> None:
        for level in self.folder_levels:
            _checks.choice("folder_levels", level, LEVELS)
        if self.folder_levels and any(self.folder_levels.count(one) > 1 for one in ("site", "class", "patient")):
            raise ConfigError("folder_levels must name 'site', 'class' and 'patient' at most once each.")
        for identity in self.safe_kinds:
            _checks.choice("safe_kinds", identity, IDENTITIES)
        for kind in self.safe_dicom:
            _checks.choice("safe_dicom", kind, DICOM_KINDS)
        for name in ("class_names", "label_columns", "unknown_values", "safe_columns"):
            for one in getattr(self, name):
                _text(name, one)
        if not isinstance(self.size, tuple) or len(self.size) != 2:
            raise ConfigError(f"size must be [height, width], got {self.size!r}.")
        for side in self.size:
            _checks.integer("size", side, low=0, high=4096)
        if any(self.size) and not all(self.size):
            raise ConfigError(f"size must be [0, 0] or two sides of at least 1, got {list(self.size)}.")

    def _check_numbers(self) -> None:
        if isinstance(self.channels, bool) or self.channels not in (0, 1, 3):
            raise ConfigError(f"channels must be 0, 1 or 3, got {self.channels!r}.")
        if isinstance(self.store_bits, bool) or self.store_bits not in STORE_BITS:
            raise ConfigError(f"store_bits must be 8 or 16, got {self.store_bits!r}.")
        if self.store_bits == 16 and self.channels == 3:
            raise ConfigError("store_bits 16 needs grey pictures: set channels to 1, or store_bits to 8.")
        _checks.integer("bits", self.bits, low=0, high=16)
        _checks.integer("window_number", self.window_number, low=0, high=15)
        _checks.boolean("square_pixels", self.square_pixels)
        _checks.integer("nifti_axis", self.nifti_axis, low=0, high=2)
        _checks.number("most_left_out", self.most_left_out, low=0, high=1)
        _checks.integer("text_length", self.text_length, low=0, high=MAX_TEXT_LENGTH)
        _checks.integer("text_vocabulary", self.text_vocabulary, low=2, high=MAX_VOCABULARY)
        _checks.integer("public_size", self.public_size, low=0, high=10**9)


FORM = ("resize", "bits", "window", "window_number", "square_pixels", "store_bits")
"""Settings that are parts of the form besides size and channels."""


def is_named(data_path: str) -> bool:
    """Whether a data path names a public data set instead of a place on the disk."""
    return data_path.startswith(NAMED)


def _beside(folder: Path, path: str) -> str:
    return str((folder / path).resolve()) if path and not is_named(path) else path


def _tuple(name: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{name} must be a list, got {value!r}.")
    return tuple(value)


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be text, got {value!r}.")
    if any("\ud800" <= one <= "\udfff" for one in value):
        raise ConfigError(f"{name} must be text in UTF-8. Rename the folder or class that is not.")
