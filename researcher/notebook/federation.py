"""The federation as a notebook holds it: shows what hospitals publish, and plans studies at them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from policies.errors import DatasiteUnreachable
from policies.untrusted_text import shown
from researcher.hospitals import federation
from researcher.hospitals.credentials import Credentials
from researcher.html.element import Html, table, together
from researcher.notebook.datasets import Datasets
from researcher.notebook.draft import Draft, draft
from researcher.notebook.repetition import Repetition, repetition
from researcher.notebook.settings import SIGNATURE


def connect(credentials: str | Path | Iterable[str | Path | Credentials]) -> Federation:
    """Connects to the hospitals whose credentials are given, to all at the same time.

    Args:
        credentials: Files or a pattern such as `state/*/credentials/me@university.org.json`, or `Credentials`.

    Raises:
        WanwuError: As `Federation.connect`.
    """
    return Federation.connect(credentials)


class Federation(federation.Federation):
    """Hospitals that a researcher is connected to."""

    def datasets(self) -> Datasets:
        """What all hospitals publish, what is left of their budgets, and in what they differ."""
        found = super().datasets()
        budgets = {}
        for one in found:
            try:
                budgets[one.datasite, one.name] = self.hospitals[one.datasite].routes.budget(one.name)
            except DatasiteUnreachable:  # what it published when it was there is shown all the same
                continue
        return Datasets(found, budgets, self.missing)

    def plan(self, *, dataset: str | None = None, **settings: Any) -> Draft:
        """Plans a study at these hospitals; nothing is submitted yet.

        Args:
            dataset: Its name, where a hospital publishes several.
            settings: Those of `StudySettings` and `RunSpec`, and the fields of a `Statement`, by name. What is not
                given has the default that the command line has.

        Raises:
            ConfigError: There is no such setting, or two contradict each other.
            WanwuError: As `make_plan`.
        """
        return draft(self, dataset, settings)

    def repeat(self, folder: Path | str) -> Repetition:
        """A study from its folder once more at these hospitals: the same plan, the same first weights.

        Args:
            folder: Of the first study, whoever ran it.

        Raises:
            ConfigError: The folder holds no study, or was changed.
            FederationError: No hospital publishes the study's dataset.
        """
        return repetition(self, folder)

    def __repr__(self) -> str:
        told = [f"{name} at {hospital.routes.url}" for name, hospital in self.hospitals.items()]
        told += [f"{name} not reached ({reason})" for name, reason in self.missing.items()]
        return shown(f"Federation of {len(told)}: {', '.join(told)}", most=4000)

    def _repr_html_(self) -> Html:
        rows = [
            [name, hospital.routes.url, ", ".join(hospital.datasets), hospital.versions.get("wanwu", "not told")]
            for name, hospital in self.hospitals.items()
        ]
        rows += [[name, f"not reached: {reason}", "", ""] for name, reason in self.missing.items()]
        return together(table("Hospitals", ["hospital", "address", "datasets", "version"], rows))


# What a notebook completes: the settings, each with its default, as they are declared.
Federation.plan.__signature__ = inspect.Signature([*SIGNATURE])  # type: ignore[attr-defined]
