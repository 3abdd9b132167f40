"""Looks at times whether something is worth a notice: budgets, certificates, disk, doctor. It changes nothing."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from datasites.access.people import ResearcherRow
from datasites.assets.published import PublishedDataset
from datasites.code_requests.books import Books
from datasites.config import DatasiteConfig
from datasites.doctor.latest_examination import LatestExamination
from datasites.files.state_folder import StateFolder
from datasites.notices.notice import CERTIFICATE, DISK, DOCTOR, LOW_BUDGET
from datasites.web.console_tls import ends_of
from policies.answers import rounded
from policies.errors import ConfigError

Found = dict[str, str]


@dataclass(frozen=True)
class Watch:
    """What is looked at.

    Attributes:
        state: The datasite's folder.
        config: The datasite's settings.
        books: The datasite's books.
        datasets: The published datasets, by name.
        people: The researchers and their certificates.
    """

    state: StateFolder
    config: DatasiteConfig
    books: Books
    datasets: Mapping[str, PublishedDataset]
    people: Callable[[], list[ResearcherRow]]

    @cached_property
    def doctor(self) -> LatestExamination:
        """What the doctor found last."""
        return LatestExamination(self.state.path)

    def look(self) -> dict[str, Found]:
        """Kind → what it is about → what was found: all that holds now, without the doctor's findings."""
        return {LOW_BUDGET: self._budgets(), CERTIFICATE: self._certificates(), DISK: self._disk()}

    def ask_the_doctor(self) -> dict[str, Found]:
        """As `look`, of the doctor's problems; nothing where somebody else asks it just now."""
        made = self.doctor.examine()
        return {DOCTOR: made.problems} if made else {}

    def _budgets(self) -> Found:
        total, share = self.books.limits.current.total.epsilon, self.config.notices.low_budget_share
        left = {name: self.books.epsilon_left(one.manifest.budget_key) for name, one in self.datasets.items()}
        return {
            name: f"Of dataset '{name}' epsilon {rounded.left(epsilon)} of {rounded.left(total)} is left."
            for name, epsilon in left.items()
            if epsilon < share * total
        }

    def _certificates(self) -> Found:
        days = self.config.notices.certificate_days
        found = {
            one.email: f"The certificate of {one.email} ends on {one.expires[:10]}. Enrol them again."
            for one in self.people()
            if one.state == "valid" and one.days_left <= days
        }
        return found | self._own_certificate(days) | self._datasites_own(days)

    def _datasites_own(self, days: int) -> Found:
        """The certificates that the datasite makes for itself, and renews when it starts."""
        soon, found = datetime.now(UTC) + timedelta(days=days), Found()
        for file in sorted(self.state.identity.glob("*.crt")):
            with contextlib.suppress(ConfigError):  # that one cannot be read, the doctor tells
                if (ends := ends_of(file)) <= soon:
                    found[file.name] = (
                        f"The datasite's own certificate {file.name} ends on {ends:%Y-%m-%d}, and researchers do not "
                        "reach it from then on. Start the datasite again, which renews it."
                    )
        return found

    def _own_certificate(self, days: int) -> Found:
        """The hospital's certificate for the console, where there is one."""
        if not (own := self.config.console_certificate):
            return {}
        try:
            ends = ends_of(Path(own).expanduser())
        except ConfigError:
            return {"console": "The hospital's certificate for the console cannot be read. Put it back in its place."}
        if ends > datetime.now(UTC) + timedelta(days=days):
            return {}
        return {
            "console": f"The hospital's certificate for the console ends on {ends:%Y-%m-%d}. Have it renewed, put it "
            "in its place, and start the datasite again."
        }

    def _disk(self) -> Found:
        free, least = shutil.disk_usage(self.state.path).free, 2 * self.config.min_free_disk_bytes
        return {"disk": f"{free >> 20} MiB are free, fewer than {least >> 20}."} if free < least else {}
