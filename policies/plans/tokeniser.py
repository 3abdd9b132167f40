"""The tokeniser: turns a report into whole numbers, the same way at every hospital and at the researcher's.

The rule is fixed and public, and learns nothing: no vocabulary is built from reports, so no word that only one patient
has can shape what crosses the boundary. Reports and their numbers are private rows and stay inside; only a `TextForm`
crosses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Annotated, Any, Self

from policies import validate
from policies.errors import PlanError
from policies.plans.training import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PADDING = 0
TOKENISERS = ("hashed_words_1",)
MAX_TEXT_LENGTH = 1024
MAX_VOCABULARY = 65_536
# Models that take a report beside the picture; their options say its form.
TEXT_MODELS = ("image_text",)

# Ideographs and kana are written without spaces between words.
_IDEOGRAPHS = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"([{_IDEOGRAPHS}]+)|((?:(?![{_IDEOGRAPHS}])[^\\W_])+)")


def _length(checks: validate.Checks, field: str, value: int) -> int:
    return checks.integer("text_length", value, low=1, high=MAX_TEXT_LENGTH)


@dataclass(frozen=True)
class TextForm:
    """What a model sees of a report: a row of `length` numbers. Public, in a dataset's schema and in a plan.

    Attributes:
        length: Words that are kept, from the report's beginning; shorter reports are filled up with `PADDING`.
        vocabulary: Numbers there are: `PADDING`, and 1 to vocabulary - 1 for words.
        tokeniser: Name of the rule; see `words`.
    """

    length: Annotated[int, _length]
    vocabulary: Annotated[int, validate.whole(2, MAX_VOCABULARY)]
    tokeniser: Annotated[str, validate.one_of(*TOKENISERS)] = TOKENISERS[0]

    def __post_init__(self) -> None:
        validate.declared(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Self | None:
        """Reads what `to_dict` gives; None for a dataset without reports.

        Raises:
            PlanError: Another field, a missing one, or a value out of range.
        """
        if values is None:
            return None
        try:
            return cls(**values)
        except TypeError as error:
            raise PlanError("A dataset's text must have a length, a vocabulary and a tokeniser.") from error

    def to_dict(self) -> dict[str, str | int]:
        """Plain values."""
        return asdict(self)

    @property
    def options(self) -> dict[str, str | int]:
        """The options by which a plan's model names this form."""
        return {"text_length": self.length, "tokeniser": self.tokeniser, "vocabulary": self.vocabulary}

    def __str__(self) -> str:
        return f"{self.length} words of {self.vocabulary}, by {self.tokeniser}"


def text_form(model: ModelSpec) -> TextForm | None:
    """The form of report that a plan's model takes; None where it takes pictures alone.

    Raises:
        PlanError: The model takes a report, and its options do not say its form.
    """
    if model.name not in TEXT_MODELS:
        return None
    options: dict[str, Any] = dict(model.options)
    if missing := [name for name in ("text_length", "tokeniser", "vocabulary") if name not in options]:
        raise PlanError(
            f"Model {model.name!r} takes a report beside each picture and needs model.options.{missing[0]}. Take it "
            "from the dataset's schema, which has 'text' where there are reports."
        )
    return TextForm(options["text_length"], options["vocabulary"], options["tokeniser"])


def check_text(model: ModelSpec, published: TextForm | None) -> None:
    """Refuses a model that takes another form of report than the dataset has. Pictures alone are always there.

    Raises:
        PlanError: The dataset has no reports, or in another form. All that the text names is public.
    """
    if model.name in TEXT_MODELS and published is None:
        raise PlanError(
            f"Model {model.name!r} takes a report beside each picture, the dataset has pictures alone. Take a model "
            "for pictures, or ask the hospital for its reports."
        )
    wanted = text_form(model)
    if wanted is not None and wanted != published:
        raise PlanError(
            f"The dataset's reports are {published}; the plan is for {wanted}. Take the form from the dataset's schema."
        )


def words(report: str) -> Iterator[str]:
    """The words of a report, in order, by `hashed_words_1`.

    The text is brought to Unicode's NFKC form and folded to lower case. A run of letters and digits is a word. In
    Chinese and Japanese, where nothing stands between words, each two neighbouring characters are one, and a lone
    character is one. All else parts words and is dropped.

    Args:
        report: Any text.
    """
    for run in _RUN.finditer(unicodedata.normalize("NFKC", report).casefold()):
        characters = run[1]
        if characters is None or len(characters) == 1:
            yield run[0]
        else:
            yield from (first + second for first, second in pairwise(characters))


def tokens(reports: Sequence[str], form: TextForm) -> NDArray[np.int32]:
    """The reports as a model takes them.

    Guarantees:
        Each row is a function of that report and of `form` alone, the same on every machine.

    Args:
        reports: N texts.
        form: How many words, and how many numbers for them.

    Returns:
        int32, (N, length), from 0 to vocabulary - 1; after a report's last word all is `PADDING`.
    """
    import numpy as np  # late: settings and plans are read without it

    rows = np.full((len(reports), form.length), PADDING, dtype=np.int32)
    for row, report in zip(rows, reports, strict=True):
        numbers = [_bucket(word, form.vocabulary) for word in islice(words(report), form.length)]
        row[: len(numbers)] = numbers
    return rows


def _bucket(word: str, vocabulary: int) -> int:
    """1 to vocabulary - 1. Two words may share a number; which do is the same everywhere, since nothing keys it."""
    import hashlib

    digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
    return 1 + int.from_bytes(digest, "little") % (vocabulary - 1)
