"""In what datasites' datasets differ that one study would use together. All of it is what they publish."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from policies.plans.picture_form import PictureForm

if TYPE_CHECKING:
    from researcher.hospitals.hospital import DatasetInfo

SHOWN_THE_SAME = ("name", "class_names", "label_kind", "image_shape", "unit")
_MEANS = {
    "name": "One study names one dataset, which every hospital must have.",
    "label_kind": "A model that tells one class and one that tells findings are different models.",
    "image_shape": "A model takes pictures of one shape. Ask a hospital to ingest anew in the other's.",
    "unit": "The promise of privacy would be for a picture here and a patient there, which no single epsilon states.",
    "form": "The same file would become different pictures, whatever the arrays' shape.",
    "text": "A model that reads reports would read other numbers for the same words; others do not mind.",
}


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

    @property
    def means(self) -> str:
        """What follows for a study that would use both, and what can be done, in a sentence."""
        if self.what == "class_names":
            return _means_of_classes(tuple(self.here), tuple(self.there))
        return _MEANS.get(self.what.split(".")[0], "One study needs the same at every hospital.")


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
    yield from form_differences(one.form, other.form)


def form_differences(one: PictureForm | None, other: PictureForm | None) -> Iterator[Difference]:
    """What two forms say differently: files that become arrays by other rules are other pictures, of whatever shape.

    Args:
        one: A form; None where pictures came as arrays.
        other: Likewise.
    """
    if one is None or other is None:
        if one is not other:
            yield Difference("form", one or "none", other or "none")
        return
    for field in fields(PictureForm):
        here, there = getattr(one, field.name), getattr(other, field.name)
        if here != there:
            yield Difference(f"form.{field.name}", here, there)


def _means_of_classes(here: tuple[str, ...], there: tuple[str, ...]) -> str:
    if sorted(here) == sorted(there):
        number = next(place for place, pair in enumerate(zip(here, there, strict=True)) if pair[0] != pair[1])
        return (
            f"The same classes in another order: label {number} is {here[number]!r} at one and {there[number]!r} at "
            "the other. Ask one hospital to ingest anew with class_names in the other's order."
        )
    alike = {name.casefold().strip(): name for name in there}
    written = [(name, alike[key]) for name in here if (key := name.casefold().strip()) in alike and name not in there]
    if len(here) == len(there) and {name.casefold().strip() for name in here} == set(alike):
        pairs = ", ".join(f"{one!r} and {other!r}" for one, other in written)
        return f"The classes differ only in how they are written ({pairs}). Ask the hospitals to agree on one spelling."
    only = [name for name in (*here, *there) if (name in here) != (name in there)]
    return (
        f"Not the same classes: {', '.join(map(repr, only))} only at some of the hospitals. Ask them to publish the "
        "same ones, or leave a hospital out with federation.only(...)."
    )
