"""A datasite's answer to whom signs in: the account's own key, which goes to its researcher and to nobody else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from policies.validate import Checks


def _seed(checks: Checks, field: str, value: str) -> str:
    """Returns `value` if it is a seed in hexadecimal; a refusal does not repeat it."""
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise checks.refusal(f"{field} must be 64 lower-case hexadecimal digits.")
    return value


@dataclass(frozen=True)
class SignInAnswer:
    """What a right password is answered with.

    Attributes:
        seed: The account's ed25519 seed, in hexadecimal.
    """

    seed: Annotated[str, _seed] = field(repr=False)
