"""A datasite's answers about itself, before anything is asked for: its versions, datasets, limits and budgets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from policies.answers.runs import Count
from policies.plans.picture_form import LABEL_KINDS, MODALITIES, PictureForm
from policies.plans.plan_json import ADDED_LATER
from policies.plans.tokeniser import TextForm
from policies.plans.training import UNITS
from policies.untrusted_text import is_plain
from policies.validate import Checks, one_of, whole

MAX_TERMS = 4000
_Side = Annotated[int, whole(1, 4096)]


def _classes(checks: Checks, field: str, value: tuple[str, ...]) -> tuple[str, ...]:
    checks.integer(f"the number of {field}", len(value), low=2, high=10_000)
    return value


def _by_name(checks: Checks, field: str, value: Mapping[str, DatasetSchema]) -> Mapping[str, DatasetSchema]:
    if any(name != schema.name for name, schema in value.items()):
        raise checks.refusal(f"{field} must stand under their own names.")
    return value


def _asset_uid(checks: Checks, field: str, value: str) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{32}", value):
        raise checks.refusal(f"{field} must be 32 lower-case hexadecimal digits.")
    return value


def check_terms(checks: Checks, field: str, value: str) -> str:
    """Returns `value` if it is a text of at most `MAX_TERMS` characters in lines, none of which is obeyed."""
    if not isinstance(value, str) or len(value) > MAX_TERMS or not all(map(is_plain, value.split("\n"))):
        raise checks.refusal(f"{field} must be at most {MAX_TERMS} characters in lines, none of them invisible.")
    return value


@dataclass(frozen=True)
class DatasetSchema:
    """The public part of a dataset's manifest.

    Attributes:
        name: The dataset's name.
        class_names: In label order.
        image_shape: (height, width, channels) in pixels.
        unit: The privacy unit, `picture` or `patient`.
        public_size: The declared number of units.
        version: Of the store's format.
        text: The form of the reports beside the pictures; None where there are none.
        form: How files became pictures; None where the hospital's pictures came as arrays.
        label_kind: `single`: a picture has one of the classes; `multi`: each class is a finding that a picture has or
            has not, or nobody knows.
        modality: What kind of pictures they are, as the hospital declares it.
    """

    name: Annotated[str, Checks.name]
    class_names: Annotated[tuple[Annotated[str, Checks.label], ...], _classes]
    image_shape: tuple[_Side, _Side, Annotated[int, whole(1, 4)]]
    unit: Annotated[str, one_of(*UNITS)]
    public_size: Annotated[int, whole(1, 10**9)]
    version: Count
    text: TextForm | None = field(default=None, metadata=ADDED_LATER)
    form: PictureForm | None = field(default=None, metadata=ADDED_LATER)
    label_kind: Annotated[str, one_of(*LABEL_KINDS)] = field(default="single", metadata=ADDED_LATER)
    modality: Annotated[str, one_of(*MODALITIES)] = field(default="other", metadata=ADDED_LATER)


@dataclass(frozen=True)
class HospitalAnswer:
    """What a researcher may know before asking for anything.

    Attributes:
        datasite: Its name.
        versions: Package → version there.
        datasets: Name → schema.
        limits: What the hospital allows, as `DatasetLimits.to_dict` gives it; a later version may name more of them.
        public_key: What its receipts are signed with, in hexadecimal.
        time: Its clock, in seconds since 1970; None from a datasite that does not tell it.
        terms_of_use: What it asks of who uses its datasets; empty where it asks nothing more.
        assets: Dataset → PySyft's identifier of its asset, 32 hexadecimal digits; empty from a datasite that does not
            tell them.
    """

    datasite: str
    versions: Mapping[str, str]
    datasets: Annotated[Mapping[str, DatasetSchema], _by_name]
    limits: Mapping[str, Any]
    public_key: Annotated[str, Checks.digest]
    time: int | None = None
    terms_of_use: Annotated[str, check_terms] = field(default="", metadata=ADDED_LATER)
    assets: Mapping[str, Annotated[str, _asset_uid]] = field(default_factory=dict, metadata=ADDED_LATER)


@dataclass(frozen=True)
class BudgetAnswer:
    """What is left of a dataset's privacy budget, per privacy unit.

    Attributes:
        epsilon_total: All that may ever be spent.
        epsilon_left: Of that, what nobody holds.
        delta: At which both are stated.
    """

    epsilon_total: float
    epsilon_left: float
    delta: float
