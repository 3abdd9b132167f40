"""In what datasites' datasets differ that one study would use together. All of it is what they publish."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from policies.plans.picture_form import PictureForm
from researcher.hospitals.hospital import DatasetInfo

SHOWN_THE_SAME = ("name", "class_names", "label_kind", "image_shape", "unit")


@dataclass(frozen=True)
class Difference:
    """One thing that two hospitals say differently.

    Attributes:
        what: The field of the schema, `form.resize` for a part of the form.
        here: What the first says; `none` where it says nothing.
        there: What the other says.
    """

    what: str
    here: Any
    there: Any


def differences(one: DatasetInfo, other: DatasetInfo, *, with_text: bool = False) -> Iterator[Difference]:
    """What a model would see or answer differently at two hospitals; nothing where one study can use both.

    Args:
        one: A dataset.
        other: Another hospital's.
        with_text: Whether the model reads the reports too.
    """
    for what in (*SHOWN_THE_SAME, *(("text",) if with_text else ())):
        here, there = getattr(one, what), getattr(other, what)
        if here != there:
            yield Difference(what, here or "none", there or "none")
    yield from _of_form(one.form, other.form)


def _of_form(one: PictureForm | None, other: PictureForm | None) -> Iterator[Difference]:
    """Files that become arrays by different rules are different pictures, whatever the arrays' shape."""
    if one is None or other is None:
        if one is not other:
            yield Difference("form", one or "none", other or "none")
        return
    for field in fields(PictureForm):
        here, there = getattr(one, field.name), getattr(other, field.name)
        if here != there:
            yield Difference(f"form.{field.name}", here, there)
