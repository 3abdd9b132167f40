"""The researcher's own words in papers: what nobody signed and nothing measured, shown as such."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from policies.answers.plain_values import from_plain, to_plain
from policies.errors import ConfigError
from policies.settings import declared, setting
from policies.validate import Checks

MOST_CHARACTERS = 2000


@dataclass(frozen=True)
class Words:
    """The researcher's words. Each is one plain line; an empty one says nothing, and the papers then say so."""

    title: str = setting("the model's name in the papers (default: the study's)", default="")
    developer: str = setting("who made the model", default="")
    contact: str = setting("whom to ask about the model", default="")
    release: str = setting("version of the model that is released", default="")
    license: str = setting("licence of the model, as SPDX names it", default="")
    intended_use: str = setting("what the model is for", default="")
    users: str = setting("who is meant to use it", default="")
    population: str = setting("of which patients it is meant to judge pictures", default="")
    out_of_scope: str = setting("what it is not for", default="")
    limits: str = setting("known risks and limits", default="")
    biases: str = setting("known biases and questions of ethics", default="")
    tuning: str = setting("which settings were chosen on which data", default="")
    funding: str = setting("who paid for it", default="")
    hospitals: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        checks = Checks(ConfigError)
        for name in declared(Words):
            checks.text(name, getattr(self, name), most=MOST_CHARACTERS)
        for datasite, name in self.hospitals.items():
            checks.text(f"the name of {datasite}", name, most=200)

    def to_json(self) -> str:
        """The file of them in a pack."""
        return json.dumps(to_plain(self), indent=1, ensure_ascii=False) + "\n"


def words_of(texts: Mapping[str, str | None], hospitals: Mapping[str, str]) -> Words:
    """The words that options gave, each put into one line.

    Raises:
        ConfigError: One is too long or not plain.
    """
    lines = {name: " ".join(text.split()) for name, text in texts.items() if text}
    return Words(**lines, hospitals=dict(sorted(hospitals.items())))


def read_words(content: bytes) -> Words:
    """Reads what `Words.to_json` writes.

    Raises:
        ConfigError: It is something else.
    """
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError("The researcher's words must be JSON, as 'evidence' writes it.") from error
    return from_plain(Words, values, lambda told: ConfigError(f"These are no researcher's words: {told}"))
