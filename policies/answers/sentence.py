"""Sentences that were computed: a template, and what stands in it, so that another language can say the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sentence:
    """One or more plain sentences.

    Attributes:
        template: In English, with names in braces; what a translation is looked up by.
        values: Name → what stands there. Never a text that somebody wrote, but names and numbers.
    """

    template: str
    values: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def text(self) -> str:
        """In English."""
        return self.template.format_map(self.values)


def said(template: str, **values: object) -> Sentence:
    """A sentence with these values; whole numbers get commas."""
    return Sentence(
        template,
        {name: f"{value:,}" if type(value) is int else str(value) for name, value in values.items()},
    )
