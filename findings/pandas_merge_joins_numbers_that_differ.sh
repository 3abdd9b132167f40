#!/usr/bin/env bash
# pandas 3.1.1: a row whose key is a whole number is joined to rows of other numbers where the other table's column holds
# an empty cell.
#
# Tried: patients 9007199254740992 and 9007199254740993 (2**53 and one more, numbers of 16 digits as some archives give),
#   merged by that column with a table of one result, of the first patient; once where the other table has a result for
#   each row, once where one row's patient is empty, which makes its column float64.
# Expected: the result is joined to the first patient alone, both times, or a refusal.
# Seen: without an empty cell so. With one, both patients get the first one's result: the whole numbers are turned into
#   float64 to be compared, in which the two are one, without a warning. Columns of the type Int64 are joined so too.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import io
import warnings

import pandas as pd

warnings.simplefilter("error")
first = 2**53
patients = pd.DataFrame({"patient": [first, first + 1], "name": ["first", "second"]})
results = {
    "all filled in": pd.read_csv(io.StringIO(f"patient,result\n{first},high\n")),
    "one empty": pd.read_csv(io.StringIO(f"patient,result\n{first},high\n,low\n")),
}
print("pandas", pd.__version__)
joined = {}
for name, table in results.items():
    for kind in ("int64", "Int64"):
        merged = patients.astype({"patient": kind}).merge(table, on="patient")
        joined[name, kind] = merged["name"].tolist()
        print(f"{name}, {kind} with {table['patient'].dtype}: {joined[name, kind]}")
wanted = {"all filled in": ["first"], "one empty": ["first", "second"]}
held = all(names == wanted[name] for (name, _), names in joined.items())
print("as described" if held else "changed: read this file again")
raise SystemExit(0 if held else 1)
PY
