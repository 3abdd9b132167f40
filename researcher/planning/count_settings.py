"""Settings that a researcher may choose of a request for counts or a Gram matrix, each declared once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class GramSettings:
    """What the researcher chooses of a request for a Gram matrix; each field says what it is."""

    study: str = setting("name of the study that pays for it", default="study")
    dataset: str | None = setting("name of the dataset, where a hospital publishes several", default=None)
    model: str = setting(
        "the head whose features are meant: scattering_linear or features", default="scattering_linear"
    )
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    epsilon: float = setting(
        "of the matrix and one few_rounds study together, as that study's epsilon; the matrix costs a part of it",
        default=3.0,
    )
    delta: float = setting("at which epsilon is stated", default=1e-5)
    statement: Statement | None = setting_of(STATEMENT)
