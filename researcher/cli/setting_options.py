"""The options of settings: of a study's plan, of waiting, of counts, and of a statement. The hospitals' limits decide.

They are made of the table that is made from the settings' classes, so that a help waits for none of these.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from policies.settings import Declared, file
from policies.terminal.commands import option, option_of, switch
from researcher.cli.commands import model_option
from researcher.planning import declared_settings

WAITING = ("round_deadline", "round_deadline_factor", "grace_seconds")
"""Settings of the retry policy that have an option."""
FILE_OF_WORDS = "statement"
"""The setting that a file gives, or an option for each of its texts."""
STATEMENT_VARIABLE = "WANWU_STATEMENT"
"""Environment variable with the path of a file that says who asks."""


def study_options() -> list[click.Parameter]:
    """The options of a study's plan. Each is None, or empty, unless it is given; the setting's own default holds."""
    made: list[click.Parameter] = []
    for setting in declared_settings.STUDY:
        by_recipe = setting.derived or setting.name == "num_rounds"
        if setting.name == FILE_OF_WORDS:
            made += statement_options()
            continue
        made.append(option_of(setting, more=", or the recipe's" if by_recipe else ""))
        if setting.name == "study":
            made.append(option("--dataset", "name of the dataset, where a hospital publishes several"))
        if setting.name == "model":
            made.append(model_option())
    made += map(option_of, (*declared_settings.OBJECTIVE, *declared_settings.SERVER, *declared_settings.RUN))
    return [*made, switch("--no-dp", "no differential privacy; most hospitals refuse that")]


def waiting_options() -> list[click.Parameter]:
    """The options that say how long a study's rounds wait for hospitals."""
    return [option_of(one) for one in declared_settings.RETRY_POLICY if one.name in WAITING]


def statement_options() -> list[click.Parameter]:
    """An option for each text of a statement, and one for a file of them; what is given goes to every hospital."""
    (whole,) = (one for one in declared_settings.STUDY if one.name == FILE_OF_WORDS)
    words = whole._replace(help=f"{whole.help} (default: ${STATEMENT_VARIABLE})", kind=file)
    return [option_of(words, value="FILE"), *map(option_of, declared_settings.STATEMENT)]


def own_options(settings: Sequence[Declared]) -> list[click.Parameter]:
    """An option for each of some settings that have a statement among them, which has options of its own."""
    return [option_of(one) for one in settings if one.name != FILE_OF_WORDS]
