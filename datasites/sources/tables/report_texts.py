"""Reports are plain text, or refused: what programs write around and in place of a text would be read as words.

They are private rows: no error text, neither the public nor the private one, repeats anything of a report.
"""

from __future__ import annotations

import re
from dataclasses import replace

from datasites.sources.listing import ListedPicture, Listing
from datasites.sources.not_filled_in import is_not_filled_in
from policies.errors import DataError
from policies.plans.tokeniser import words

_MARKUP = re.compile(r"\s*(?:\{\\rtf|<\?xml|<!doctype|<(\w+)[^>]*>.*</\w+>\s*\Z)", re.IGNORECASE | re.DOTALL)
_FILE = re.compile(r"\S+\.(?:txt|pdf|docx?|odt|rtf|xml|html?|json)", re.IGNORECASE)


def plain_reports(listing: Listing) -> Listing:
    """The listing with reports that are plain text; what programs write into an empty cell is an empty report.

    Raises:
        DataError: Reports are RTF, HTML or XML, or names of files, or none of them holds a word. A picture of such a
            report is named in private.
    """
    if all(one.report is None for one in listing.pictures):
        return listing
    pictures = [_filled(one) for one in listing.pictures]
    written = [one for one in pictures if one.report and one.report.strip()]
    if marked := [one for one in written if _MARKUP.match(one.report or "")]:
        raise DataError(
            "Reports are RTF, HTML or XML, whose marks would be read as words. Save them as plain text.",
            private=f"{len(marked):,} reports, for instance of {marked[0].picture.place}",
        )
    if written and all(_FILE.fullmatch((one.report or "").strip()) for one in written):
        raise DataError("The column of reports holds names of files. Write the reports themselves into it.")
    if not any(next(words(one.report or ""), None) for one in written):
        raise DataError(
            "None of the reports holds a word. Name the column that they stand in, or set text_length to 0 to do "
            "without reports."
        )
    return replace(listing, pictures=pictures)


def _filled(listed: ListedPicture) -> ListedPicture:
    return replace(listed, report="") if listed.report and is_not_filled_in(listed.report) else listed
