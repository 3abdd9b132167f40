"""Rounds as a run of MLflow, where the researcher keeps theirs. Needs the package `mlflow` or `mlflow-skinny`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from policies.errors import ConfigError
from policies.plans.training import TrainingPlan
from researcher.studies.history import RoundRecord
from researcher.tracking.tracker import numbers_of, settings_of

PLAN_TAG = "wanwu.plan"


class MLflow:
    """A tracker that writes to an MLflow server or database. A study that goes on goes on in the same run.

    Args:
        uri: Of the tracking server, or a database: `http://127.0.0.1:5000`, `sqlite:///mlflow.db`.
        experiment: In which the run stands; the study's name if None.

    Raises:
        ConfigError: The package is not installed.
    """

    def __init__(self, uri: str, *, experiment: str | None = None) -> None:
        try:
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise ConfigError("The package mlflow is not installed. Install mlflow-skinny, or mlflow.") from error
        self._refusal, self._uri = MlflowException, uri
        self._experiment, self._run = experiment, ""
        with self._asking():
            self._client: Any = MlflowClient(tracking_uri=uri)

    def begin(self, plan: TrainingPlan) -> None:
        """Finds the run of this plan, or begins one with the plan's settings as its parameters.

        Raises:
            ConfigError: MLflow does not answer, or refuses.
        """
        with self._asking():
            self._find_or_begin(plan)

    def _find_or_begin(self, plan: TrainingPlan) -> None:
        name = self._experiment or plan.study
        found = self._client.get_experiment_by_name(name)
        place = self._client.create_experiment(name) if found is None else found.experiment_id
        known = self._client.search_runs([place], filter_string=f"tags.`{PLAN_TAG}` = '{plan.digest()}'", max_results=1)
        if known:
            self._run = known[0].info.run_id
            return
        self._run = self._client.create_run(place, run_name=plan.study, tags={PLAN_TAG: plan.digest()}).info.run_id
        for setting, value in settings_of(plan).items():
            self._client.log_param(self._run, setting, value)

    def round(self, record: RoundRecord) -> None:
        """Writes the numbers of a record at its round.

        Raises:
            ConfigError: MLflow does not answer, or refuses.
        """
        with self._asking():
            for name, value in numbers_of(record).items():
                self._client.log_metric(self._run, name, value, step=record.round)

    def end(self) -> None:
        """Says that the run ended; a later round of the study goes on in it.

        Raises:
            ConfigError: MLflow does not answer, or refuses.
        """
        with self._asking():
            self._client.set_terminated(self._run)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except self._refusal as error:
            raise ConfigError(
                f"MLflow at {self._uri} did not take it: {error}. The study's folder has all of it; tell MLflow later "
                "with researcher.replay(folder, tracker)."
            ) from error
