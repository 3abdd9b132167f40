"""The one piece of code that every code request carries: it hands the pinned plan to the hospital's own trainer.

A reviewer therefore reads a plan, not a program. Both sides build the text from here, so the hospital can hold
what was sent against what the platform sends, character by character.
"""

from __future__ import annotations

import re
import secrets

ARGUMENTS = ("asset", "plan", "ticket")
_NAME = re.compile(r"wanwu_[0-9a-f]{16}_[0-9a-f]{8}")
_SOURCE = """def {name}(asset, plan, ticket):
    from datasites.runs import entry
    return entry.enter(asset, plan, ticket)
"""


def new_name(plan_digest: str) -> str:
    """A function name for a new request: the plan's digest, shortened, and a nonce.

    PySyft takes a text only once per account, so a plan that was denied can be submitted again under a new nonce.
    """
    return f"wanwu_{plan_digest[:16]}_{secrets.token_hex(4)}"


def source(name: str) -> str:
    """The stub's source under that name."""
    return _SOURCE.format(name=name)


def is_canonical(name: str, text: str, plan_digest: str) -> bool:
    """Whether `text` is exactly the stub, under a name made for the plan with that digest.

    Guarantees:
        True only if the text equals `source(name)` in every character, so nothing else can run.
    """
    return _NAME.fullmatch(name) is not None and name.startswith(f"wanwu_{plan_digest[:16]}_") and text == source(name)
