"""Rounds as TensorBoard's event files, in a folder on this machine. Needs the package `tensorboard`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from policies.errors import ConfigError
from policies.plans.training import TrainingPlan
from researcher import atomic_file
from researcher.studies.history import RoundRecord
from researcher.tracking.tracker import numbers_of, settings_of

PLAN_FILE = "plan.json"


class TensorBoard:
    """A tracker that writes for `tensorboard --logdir FOLDER`.

    Args:
        folder: Where; another one for each study.

    Raises:
        ConfigError: The package is not installed.
    """

    def __init__(self, folder: Path | str) -> None:
        try:
            from tensorboard.summary import Writer
        except ImportError as error:
            raise ConfigError(
                "The package tensorboard is not installed. Install it: pip install tensorboard."
            ) from error
        self._folder, self._open = Path(folder), Writer
        self._writer: Any = None

    def begin(self, plan: TrainingPlan) -> None:
        """Opens an event file, and writes the plan's settings beside it."""
        atomic_file.write(self._folder / PLAN_FILE, json.dumps(dict(settings_of(plan)), indent=1))
        self._writer = self._open(str(self._folder))

    def round(self, record: RoundRecord) -> None:
        """Writes the numbers of a record at its round."""
        for name, value in numbers_of(record).items():
            self._writer.add_scalar(name, value, record.round)
        self._writer.flush()

    def end(self) -> None:
        """Closes the event file."""
        self._writer.close()
