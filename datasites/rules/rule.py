"""A rule: plans like one that people approved, of one researcher on one dataset, within ranges, sums and a time.

It stays in the hospital. Researchers are told that a request is approved, and nothing of what a rule lets through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

from policies.answers.plain_values import to_plain
from policies.errors import ConfigError
from policies.plans.graph.packed_graph import LOSS, MODEL, digest_of
from policies.plans.kinds import Plan, parse
from policies.plans.plan_json import canonical_json, sha256_text
from policies.validate import Checks

MOST_DAYS = 180
"""How far ahead a rule may end."""
VARIABLE: Mapping[str, str] = MappingProxyType(
    {
        "rounds": "number of rounds",
        "steps_per_round": "steps in each round",
        "sample_rate": "share of patients or pictures that a step draws",
        "learning_rate": "size of the model's steps",
        "momentum": "momentum",
        "weight_decay": "weight decay",
        "proximal_mu": "pull to the global model",
        "server_momentum": "server's momentum",
        "server_averaging": "server's averaging",
        "privacy.noise_multiplier": "noise, as a multiple of what one unit can add",
        "privacy.max_grad_norm": "most that one unit can add to a step",
        "run.timeout_seconds": "longest time of a round, in seconds",
    }
)
"""Settings that a rule may leave open within a range, and what each is; all others are as in the plan it is like."""
_RANGE = re.compile(r"([a-z_.]{1,40})=([0-9.eE+-]{1,30})\.\.([0-9.eE+-]{1,30})")
_checks = Checks(ConfigError)


@dataclass(frozen=True)
class SettingRange:
    """A setting that may differ: from `low` to `high`, both allowed."""

    name: str
    low: float
    high: float

    @property
    def text(self) -> str:
        """As `rules add --range` takes it."""
        return f"{self.name}={self.low:g}..{self.high:g}"


@dataclass(frozen=True)
class Rule:
    """What may be approved without a person.

    Attributes:
        name: Its name, which all its versions share: what they reserve in a month is counted together.
        researcher: Whose requests: the account's address.
        account: That account's public key.
        dataset: On which dataset.
        dataset_version: In which version, the one that people approved the earlier request on.
        like: That request. Its plan is the template.
        plan: The plan's text. All but the study's name and the ranges is as there, what the researcher says included.
        ranges: The settings that may differ.
        max_study_epsilon: Most epsilon of one study, with all that it holds already.
        max_month_epsilon: Most epsilon that the rule may approve within any 30 days.
        ends: The last day, UTC.
    """

    name: str
    researcher: str
    account: str
    dataset: str
    dataset_version: int
    like: str
    plan: str
    ranges: tuple[SettingRange, ...]
    max_study_epsilon: float
    max_month_epsilon: float
    ends: str

    @property
    def version(self) -> str:
        """SHA-256 over all of it, hexadecimal."""
        return sha256_text(canonical_json(to_plain(self)))

    @property
    def decides_as(self) -> str:
        """What its decisions stand under."""
        return f"rule {self.name} version {self.version}"

    @property
    def template(self) -> Plan:
        """The plan that it is like."""
        return parse(self.plan)

    def has_ended(self, today: date) -> bool:
        """Whether its last day is over."""
        return today > date.fromisoformat(self.ends)


@dataclass(frozen=True)
class WantedRule:
    """A rule as people write it, on the page and in the command.

    Attributes:
        name: Its name; one that there is already is changed by it.
        like: The approved request whose plan is the template, or the only beginning of its identifier.
        max_study_epsilon: See `Rule`.
        max_month_epsilon: See `Rule`.
        ends: The last day, such as 2027-03-31.
        ranges: Each `SETTING=LOW..HIGH`.
        reason: Why.
    """

    name: str
    like: str
    max_study_epsilon: float
    max_month_epsilon: float
    ends: str
    ranges: tuple[str, ...] = field(default=())
    reason: str = ""


def read_ranges(texts: Iterable[str], template: Plan) -> tuple[SettingRange, ...]:
    """The ranges that texts say, around what the template has, in the order of `VARIABLE`.

    Raises:
        ConfigError: No such setting, no range, or one that the template itself is not in.
    """
    found: dict[str, SettingRange] = {}
    there = flat(template)
    for text in texts:
        match = _RANGE.fullmatch(text.strip())
        if match is None:
            raise ConfigError(f"Expected SETTING=LOW..HIGH such as rounds=1..20, got {text!r:.80}.")
        name, own = match[1], there.get(match[1])
        if name not in VARIABLE or not isinstance(own, int | float):
            known = ", ".join(one for one in VARIABLE if one in there)
            raise ConfigError(f"{name!r} is nothing that a rule can leave open here; known are {known}.")
        if name in found:
            raise ConfigError(f"{name} has two ranges. Give it one.")
        try:
            low, high = float(match[2]), float(match[3])
        except ValueError as error:
            raise ConfigError(f"Expected two numbers, got {text!r:.80}.") from error
        if not low <= own <= high <= 1e9:
            raise ConfigError(
                f"{name} is {own:g} in the request that people approved, which is not in {low:g} to "
                f"{high:g}. A rule's ranges lie around it."
            )
        found[name] = SettingRange(name, low, high)
    return tuple(found[name] for name in VARIABLE if name in found)


def check_sums(rule: Rule, *, today: date | None = None) -> None:
    """Returns if name, sums and end of a rule are ones that a rule may have.

    Raises:
        ConfigError: They are not.
    """
    today = today or datetime.now(UTC).date()
    _checks.name("name", rule.name)
    for name in ("max_study_epsilon", "max_month_epsilon"):
        _checks.number(name, getattr(rule, name), low=0, high=1e6, open_low=True)
    try:
        ends = date.fromisoformat(rule.ends)
    except ValueError as error:
        raise ConfigError(f"A rule ends on a day such as 2027-03-31, not on {rule.ends!r:.80}.") from error
    if not today <= ends <= today + timedelta(days=MOST_DAYS):
        raise ConfigError(
            f"A rule ends within {MOST_DAYS} days, by {today + timedelta(days=MOST_DAYS)}; make it anew after that."
        )


def flat(plan: Plan) -> dict[str, object]:
    """A plan's settings by their dotted names, as its text has them: what the researcher says of it, too.

    Of the graphs of an own model and an own loss it has the digests, which no other graph has.
    """
    found: dict[str, object] = {}

    def add(values: Mapping[str, object], prefix: str) -> None:
        for name, value in values.items():
            if isinstance(value, Mapping) and value:
                add(value, f"{prefix}{name}.")
            else:
                found[f"{prefix}{name}"] = value

    add(json.loads(plan.to_json()), "")
    for packing in (MODEL, LOSS):
        if packing.field in found:
            found[packing.field] = digest_of(str(found[packing.field]), packing)
    return found
