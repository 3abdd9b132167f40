"""Lines of a paper: a sentence with names in braces, told where all of its facts are known, with what each rests on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from string import Formatter

from researcher.papers import rests_on
from researcher.papers.facts import Fact, Facts

STUDY, HOSPITALS, SCORES = "study", "hospitals", "scores"


@dataclass(frozen=True)
class Line:
    """One or more plain sentences.

    Attributes:
        text: With names of facts in braces.
        of: What its facts are of: the `study`, or each of its `hospitals` or `scores`, for which it is told anew.
        given: A fact that must be known too, which the line then rests on as well.
        unless: A fact where this line is not told, as another says it.
        rests_on: Tests of the platform that hold what the line says of it.
    """

    text: str
    of: str = STUDY
    given: str = ""
    unless: str = ""
    rests_on: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The facts that it needs: those that stand in it, and the one that must be given."""
        inside = tuple(name for _, name, _, _ in Formatter().parse(self.text) if name)
        return (*inside, self.given) if self.given else inside


@dataclass(frozen=True)
class Told:
    """A line with its facts in it.

    Attributes:
        text: As it is read.
        sources: What it rests on: fields of signed or measured files, or tests.
    """

    text: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A heading and its lines."""

    heading: str
    lines: tuple[Line, ...]


def tell(lines: Iterable[Line], facts: Facts) -> Iterator[Told]:
    """The lines whose facts are known, in order; those of hospitals or scores once for each."""
    for line in lines:
        for known in facts.each(line.of):
            if line.unless in known or any(name not in known for name in line.names):
                continue
            found: list[Fact] = [known[name] for name in line.names]
            text = line.text.format_map({name: known[name].value for name in line.names})
            tests = line.rests_on
            if "allocated_over" in known:
                tests = tuple(rests_on.INSTEAD_WITH_ALLOCATION.get(one, one) for one in tests)
            yield Told(text, tuple(dict.fromkeys([*(one.source for one in found), *tests])))


class Footnotes:
    """The notes of one document, numbered in the order in which sentences first rest on them."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def marks(self, told: Told) -> str:
        """The marks behind a sentence, as Markdown."""
        return "".join(f"[^{self._numbers.setdefault(one, len(self._numbers) + 1)}]" for one in told.sources)

    def notes(self) -> Iterator[str]:
        """The notes themselves."""
        return (f"[^{number}]: {source}" for source, number in self._numbers.items())


def as_markdown(title: str, sections: Iterable[Section], facts: Facts, *, rests_on: str) -> str:
    """A document: each line a paragraph of a list, with marks; below, what each mark stands for.

    Args:
        title: Its heading.
        sections: Headings and lines.
        facts: What is known.
        rests_on: Heading of the notes.
    """
    notes = Footnotes()
    parts = [f"# {escaped(title)}", ""]
    for section in sections:
        told = [f"- {escaped(one.text)}{notes.marks(one)}" for one in tell(section.lines, facts)]
        if told:
            parts += [f"## {section.heading}", "", *told, ""]
    return "\n".join([*parts, f"## {rests_on}", "", *notes.notes()]) + "\n"


def escaped(text: str) -> str:
    """A text as Markdown shows it and does not obey it."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def facts_by_name(facts: Facts) -> Mapping[str, Fact]:
    """All facts under one name each, for the pack's list."""
    named = dict(facts.study)
    for of, all_of in ((HOSPITALS, facts.hospitals), (SCORES, facts.scores)):
        for number, one in enumerate(all_of, 1):
            named |= {f"{of}/{number}/{name}": fact for name, fact in one.items()}
    return named
