"""Words to search by, as SQLite's full-text search takes them. Nothing of them crosses the boundary."""

from __future__ import annotations

import re

_NO_SPACES = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")


def searchable(text: str) -> str:
    """A text as it is kept to be searched: each letter of a script without spaces is a word of its own."""
    return _NO_SPACES.sub(r" \1 ", text)


def matching(text: str, **columns: str) -> str:
    """The search for rows in which every word of `text` begins a word, and each column of `columns` is that one word.

    Returns:
        Empty where there is nothing to search by.
    """
    terms = [f"{name} : {_quoted(value)}" for name, value in columns.items()]
    for word in text.split():
        if any(letter.isalnum() for letter in word):
            terms.append(f"{_quoted(searchable(word))} *")
    return " AND ".join(f"({term})" for term in terms)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""').replace("\0", "") + '"'
