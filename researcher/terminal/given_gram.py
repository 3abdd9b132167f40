"""The Gram matrix that a study is given, or keeps: found, or missed, before any hospital is asked for anything."""

from __future__ import annotations

from pathlib import Path

from policies.errors import ConfigError
from policies.plans.server.server_spec import BY_A_GRAM
from researcher.counts.kept_gram import GRAM_FILE, KeptGram
from researcher.planning.few_rounds import NAME as FEW_ROUNDS
from researcher.planning.settings import StudySettings
from researcher.strategies.dp_fc import NO_GRAM
from researcher.studies.kept_plan import STUDY_FILE, read_plan


def given_gram(strategy: str, folder: Path, gram: Path | None) -> KeptGram | None:
    """The matrix that a study of this strategy steps by; None where it takes none, or has none yet.

    Args:
        strategy: Its name.
        folder: The study's, which may keep one.
        gram: Folder of a matrix, as `gram` wrote it; None where the study keeps one.

    Raises:
        ConfigError: The folder holds none, or a changed one, or the strategy takes none.
    """
    if strategy != BY_A_GRAM:
        if gram is not None:
            raise ConfigError(f"Strategy {strategy} takes no Gram matrix: leave out --gram.")
        return None
    if gram is None and not (folder / GRAM_FILE).exists():
        return None
    return KeptGram.load(folder if gram is None else gram)


def check_given(settings: StudySettings, folder: Path, gram: Path | None) -> None:
    """Refuses a study that would miss its matrix in the end, by what is known without its hospitals.

    Args:
        settings: What it is to be; where the folder holds a study, that one's plan counts.
        folder: The study's.
        gram: As of `given_gram`.

    Raises:
        ConfigError: As `given_gram`, or there is no matrix to step by, or the folder's study was cut.
        PlanError: As `read_plan`.
    """
    strategy = BY_A_GRAM if settings.recipe == FEW_ROUNDS else settings.server.strategy
    if (folder / STUDY_FILE).exists():
        strategy = read_plan(folder)[0].server.strategy
    if given_gram(strategy, folder, gram) is None and strategy == BY_A_GRAM:
        raise ConfigError(NO_GRAM)
