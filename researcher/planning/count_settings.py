"""Settings that a researcher may choose of a request for counts, each declared once, as those of a study are."""

from __future__ import annotations

from dataclasses import dataclass

from policies.plans.words.statement import STATEMENT, Statement
from policies.settings import setting, setting_of


@dataclass(frozen=True)
class CountSettings:
    """What the researcher chooses of a request for counts; each field says what it is."""

    study: str = setting("name of the study that pays for it", default="study")
    dataset: str | None = setting("name of the dataset, where a hospital publishes several", default=None)
    noise_multiplier: float = setting("noise on the counts", default=20.0)
    delta: float = setting("at which epsilon is stated", default=1e-5)
    statement: Statement | None = setting_of(STATEMENT)
