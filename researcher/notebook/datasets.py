"""Datasets of several hospitals side by side, with what differs. All of it is what they tell any researcher."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from policies.answers import rounded
from policies.answers.hospital import BudgetAnswer
from policies.untrusted_text import shown
from researcher.hospitals.comparison import Compared, compare
from researcher.hospitals.hospital import DatasetInfo
from researcher.html.element import Html, bar, element, listed, table, together


class Datasets(list[DatasetInfo]):
    """The datasets of a federation's hospitals, in order; shows their schema cards side by side and what differs.

    Attributes:
        budgets: (Datasite, dataset) → what is left there; without those that could not be asked.
        missing: Datasite → why nothing is known of what it publishes.
    """

    def __init__(
        self,
        datasets: Iterable[DatasetInfo] = (),
        budgets: Mapping[tuple[str, str], BudgetAnswer] | None = None,
        missing: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(datasets)
        self.budgets, self.missing = dict(budgets or {}), dict(missing or {})

    @property
    def differences(self) -> tuple[Compared, ...]:
        """What hospitals say differently, and whether it matters for one study at all of them."""
        return compare(self)

    @property
    def agree(self) -> bool:
        """Whether one study can use all of them."""
        return not any(one.matters for one in self.differences)

    def __repr__(self) -> str:
        lines = [f"{one.datasite}: {'; '.join(f'{name} {value}' for name, value in self._card(one))}" for one in self]
        return "\n".join(
            [shown(line, most=2000) for line in lines] + [shown(self._verdict(), most=2000), *self._told()]
        )

    def _repr_html_(self) -> Html:
        if not self:
            return together("No hospital publishes a dataset.", listed(self._not_reached()))
        cards = {f"{one.datasite}: {one.name}": dict(self._card(one)) for one in self}
        names = [name for name, _ in self._card(self[0])]
        rows = [[name, *(card[name] for card in cards.values())] for name in names]
        rows.append(["budget left", *map(self._budget, self)])
        parts: list[Html] = [table("What the hospitals publish", ["", *cards], rows), element("p", self._verdict())]
        if found := self.differences:
            parts.append(table("What differs", ["what", "where", "matters", "what it means"], map(_row, found)))
        return together(*parts, listed(self._not_reached()))

    def _card(self, one: DatasetInfo) -> list[tuple[str, str]]:
        limits = one.limits
        return [
            ("dataset", one.name),
            (
                "pictures",
                ("" if one.modality == "other" else f"{one.modality}, ") + " x ".join(map(str, one.image_shape)),
            ),
            ("form", str(one.form or "not declared")),
            ("labels", f"{one.label_kind}: {', '.join(one.class_names)}"),
            ("reports", "none" if one.text is None else f"{one.text.length} words"),
            ("privacy unit", one.unit),
            ("public size", f"{one.public_size:,}"),
            ("least noise", f"{limits['min_noise_multiplier']:g}" if "min_noise_multiplier" in limits else "not told"),
            ("terms of use", one.terms_of_use or "none"),
        ]

    def _budget(self, one: DatasetInfo) -> Html:
        budget = self.budgets.get((one.datasite, one.name))
        if budget is None:
            return element("span", "not told")
        left, delta = rounded.left(budget.epsilon_left), rounded.number(budget.delta)
        told = f"epsilon {left} of {budget.epsilon_total:g} at delta {delta}"
        return bar(budget.epsilon_left, budget.epsilon_total, told)

    def _verdict(self) -> str:
        matters = sum(one.matters for one in self.differences)
        if matters:
            return f"One study cannot use all of them: {matters} difference{'s matter' if matters > 1 else ' matters'}."
        return "One study can use all of them." if self else "No hospital publishes a dataset."

    def _told(self) -> list[str]:
        return [
            shown(f"  {'matters' if one.matters else 'differs'}: {one.what}: {_where(one)}. {one.means}", most=4000)
            for one in self.differences
        ] + [f"  {one}" for one in self._not_reached()]

    def _not_reached(self) -> list[str]:
        return [shown(f"{name} was not reached: {reason}", most=2000) for name, reason in self.missing.items()]


def _row(one: Compared) -> list[object]:
    where = listed(f"{name}: {_value(value)}" for name, value in one.values.items())
    return [one.what, where, "yes" if one.matters else "no", one.means]


def _where(one: Compared) -> str:
    return "; ".join(f"{name} {_value(value)}" for name, value in one.values.items())


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
