#!/usr/bin/env bash
# openpyxl 3.1.5: a number whose format shows a unit with a semicolon in it is read as a date.
#
# Tried: the number 5.5 in cells whose formats write a text behind or before it, such as 0.0" mmol/l" and
#   0.0" mg; fasting", saved and loaded. A spreadsheet program shows 5.5 with that text.
# Expected: 5.5 in each, since letters within quotes are no codes of a date.
# Seen: with a semicolon within the quotes, whose text before it has a d, h, m, s or y, it is
#   datetime(1900, 1, 5, 12, 0). The format is cut at the semicolon first, as between its parts for positive and negative
#   numbers, and what is left of the quoted text is no longer quoted. Without a semicolon it is 5.5.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet openpyxl==3.1.5
"$folder/venv/bin/python" - <<'PY'
import datetime
import io
from importlib.metadata import version

from openpyxl import Workbook, load_workbook

FORMATS = {
    '0.0" mmol/l"': 5.5,
    '0.0" mg"': 5.5,
    '0.0" x; fasting"': 5.5,
    '0.0" mg; fasting"': datetime.datetime(1900, 1, 5, 12),
    '[>=5]"high; see notes"0.0;0.0': datetime.datetime(1900, 1, 5, 12),
}
book = Workbook()
for row, form in enumerate(FORMATS, start=1):
    cell = book.active.cell(row, 1, 5.5)
    cell.number_format = form
saved = io.BytesIO()
book.save(saved)
found = [row[0] for row in load_workbook(io.BytesIO(saved.getvalue())).active.iter_rows(values_only=True)]
print("openpyxl", version("openpyxl"))
for form, value in zip(FORMATS, found, strict=True):
    print(f"{form}: {value!r}")
held = found == list(FORMATS.values())
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
