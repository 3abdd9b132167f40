"""The hospital's limits while the datasite runs: from its config, changed by its admin alone, written back at once.

A change never touches what was reserved before: an approved study keeps its envelope.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from datasites.assets.features import check_there
from datasites.assets.published import PublishedDataset
from datasites.audit_log.log import AuditLog
from datasites.config import DatasiteConfig
from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from policies.budget.limits import DatasetLimits
from policies.errors import ConfigError, LimitExceeded, RequestError
from policies.plans.kinds import Plan
from policies.plans.model_options import check_options
from policies.plans.releases import StatisticsPlan
from policies.plans.tokeniser import check_text
from policies.plans.words.statement import Statement

_LABEL_KINDS = (
    "with 'single' a picture has one of the classes, with 'multi' each class is a finding that it has, has not, or "
    "nobody knows."
)


class HospitalLimits:
    """The limits in force, for every part of a datasite that asks."""

    def __init__(self, state: StateFolder, config: DatasiteConfig, audit: AuditLog) -> None:
        self._state, self._config, self._audit = state, config, audit
        self._lock = threading.Lock()

    @property
    def current(self) -> DatasetLimits:
        """The limits in force now."""
        return self._config.limits

    def check(self, plan: Plan, dataset: PublishedDataset) -> None:
        """Refuses a plan outside the limits, and one for other pictures, labels, reports or features than are there.

        Raises:
            LimitExceeded, RequestError, PlanError: With what was expected, what came and what to change.
        """
        manifest = dataset.manifest
        self._check_statement(plan)
        self.current.check(plan, unit=manifest.unit, public_size=manifest.public_size)
        about = plan if isinstance(plan, StatisticsPlan) else plan.model
        expected = (tuple(manifest.image_shape), len(manifest.class_names))
        if (about.image_shape, about.num_classes) != expected:
            raise RequestError(
                f"The dataset has pictures of {expected[0]} in {expected[1]} classes, the plan is for "
                f"{about.image_shape} and {about.num_classes}. Take both from the dataset's schema."
            )
        if about.label_kind != manifest.label_kind:
            raise RequestError(
                f"The dataset's label_kind is '{manifest.label_kind}', the plan's '{about.label_kind}': {_LABEL_KINDS} "
                "Take it from the dataset's schema."
            )
        if not isinstance(plan, StatisticsPlan):
            check_options(plan.model)
            check_text(plan.model, manifest.text)
            check_there(plan, dataset.store)

    def _check_statement(self, plan: Plan) -> None:
        missing = (plan.statement or Statement()).missing
        if self._config.require_statement and missing:
            raise LimitExceeded(
                f"The hospital decides on requests that say who asks and what for; this one says no "
                f"{', '.join(missing)}. Give {', '.join(f'--{name}' for name in missing)}, or --statement with a file "
                "of them. Where there is none, say so."
            )

    def change(self, changes: Mapping[str, Any], *, by: str) -> DatasetLimits:
        """Puts some limits to other values, `epsilon` and `delta` being those of the total.

        Raises:
            ConfigError: An unknown limit, or a value out of range; nothing is changed.
        """
        with self._lock:
            values = self.current.to_dict()
            for name, value in changes.items():
                if name in ("epsilon", "delta"):
                    values["total"] = {**values["total"], name: value}
                else:
                    values[name] = value
            self._keep_approvals_needed(values)
            config = replace(self._config, limits=DatasetLimits.from_dict(values))
            self._audit.write("limits changed", by=by, changes=", ".join(f"{k}={v}" for k, v in changes.items()))
            write_private(self._state.config, config.to_toml())
            self._config = config
            return config.limits

    def _keep_approvals_needed(self, values: Mapping[str, Any]) -> None:
        """Whoever runs the datasite may lower it in its config.toml; no account may while requests are open."""
        wanted = values["approvals_needed"]
        if isinstance(wanted, int) and wanted < self.current.approvals_needed:
            raise ConfigError(
                "approvals_needed can be raised here, not lowered: else one person could do away with the other. "
                "Change it in config.toml and start the datasite again."
            )
