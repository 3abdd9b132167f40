"""Rules as a hospital keeps them, with who stands behind each, in a private file that is written whole or not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from datasites.files.private_file import write_private
from datasites.rules.rule import Rule
from policies.answers.plain_values import from_plain, to_plain
from policies.errors import ConfigError

PROPOSED, ON, OFF = "proposed", "on", "off"
EXPIRES_AFTER = timedelta(days=14)


@dataclass(frozen=True)
class KeptRule:
    """One version of a rule.

    Attributes:
        rule: What it lets through.
        state: `proposed`, `on`, or `off` for good.
        reason: Why, as its proposer says.
        people: Who stands behind it, its proposer first.
        at: Since when it is proposed, or in force; UTC.
        off_by: Who switched it off, or what took its place; empty unless it is off.
        off_at: When; UTC.
    """

    rule: Rule
    state: str
    reason: str
    people: tuple[str, ...]
    at: str
    off_by: str = ""
    off_at: str = ""

    @property
    def version(self) -> str:
        """Of the rule."""
        return self.rule.version

    @property
    def has_expired(self) -> bool:
        """Whether it is a proposal that nobody may confirm any more."""
        return self.state == PROPOSED and datetime.now(UTC) >= datetime.fromisoformat(self.at) + EXPIRES_AFTER

    @property
    def decides(self) -> bool:
        """Whether it may decide today, as far as the rule itself says."""
        return self.state == ON and not self.rule.has_ended(datetime.now(UTC).date())


@dataclass(frozen=True)
class RulesAnswer:
    """The rules of a datasite.

    Attributes:
        rules: Those that decide first, then proposals, then what is off.
        people_needed: How many people a rule takes.
    """

    rules: tuple[KeptRule, ...]
    people_needed: int


def now() -> str:
    """This moment, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RuleFile:
    """The file of rules. Whoever calls it sees to it that nobody else does meanwhile."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def all(self) -> tuple[KeptRule, ...]:
        """Every version of every rule that ever was in force, and the proposals that wait.

        Raises:
            ConfigError: The file cannot be read. No rule decides until it can be.
        """
        try:
            found = json.loads(self._file.read_text())
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            raise unreadable("it is no JSON.") from error
        if not isinstance(found, list):
            raise unreadable("it is no list.")
        kept = tuple(from_plain(KeptRule, one, unreadable) for one in found)
        for one in kept:
            if one.state not in (PROPOSED, ON, OFF):
                raise unreadable("a rule is neither proposed nor on nor off.")
        return kept

    def write(self, kept: tuple[KeptRule, ...]) -> None:
        """Writes them all."""
        write_private(self._file, json.dumps(to_plain(kept), indent=1) + "\n")


def unreadable(what: str) -> ConfigError:
    """What a file of rules that cannot be read is refused with."""
    return ConfigError(
        f"The file of rules cannot be read, and no rule decides: {what} Remove rules.json, and make the rules anew."
    )
