"""A study's rounds as a pandas frame and as HTML. All of it is what the history holds already."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from policies.answers import rounded
from researcher.html.curves import curves
from researcher.html.element import Html, joined, table

if TYPE_CHECKING:
    import pandas

    from researcher.studies.rounds.round_record import RoundRecord

UNITS = {
    "round": "number, from 1",
    "datasites": "hospitals whose update is in the mean",
    "skipped": "hospitals whose update is not",
    "test_accuracy": "share of 1, on the public hold-out",
    "macro_f1": "share of 1, likewise",
    "macro_auroc": "share of 1, likewise; not a number where labels are classes",
    "seconds_queue": "seconds",
    "seconds_transfer": "seconds",
    "seconds_train": "seconds",
    "seconds_aggregate": "seconds",
    "seconds_total": "seconds",
    "bytes_up": "bytes, to all hospitals together",
    "bytes_down": "bytes, from all hospitals together",
}
_EPSILON = "epsilon, spent at that hospital up to the round"


def frame_of(records: Sequence[RoundRecord]) -> pandas.DataFrame:
    """A row for each round, as `History.to_frame` says."""
    import pandas as pd

    names = sorted({name for record in records for name in record.epsilon})
    rows = [
        {
            "round": record.round,
            "datasites": len(record.datasites),
            "skipped": len(record.skipped),
            "test_accuracy": record.test_accuracy,
            "macro_f1": record.macro_f1,
            "macro_auroc": math.nan if record.macro_auroc is None else record.macro_auroc,
            **{f"seconds_{phase}": seconds for phase, seconds in record.seconds.items()},
            "bytes_up": record.bytes_up,
            "bytes_down": record.bytes_down,
            **{f"epsilon_{name}": record.epsilon.get(name, math.nan) for name in names},
        }
        for record in records
    ]
    frame = pd.DataFrame(rows, columns=[*UNITS, *(f"epsilon_{name}" for name in names)]).set_index("round")
    frame.attrs["units"] = {**UNITS, **{f"epsilon_{name}": _EPSILON for name in names}}
    return frame


def html_of(records: Sequence[RoundRecord]) -> Html:
    """The curves of scores and of epsilon, and a table with the same numbers."""
    if not records:
        return joined()
    names = sorted({name for record in records for name in record.epsilon})
    of_findings = any(record.findings for record in records)
    first = "macro AUROC" if of_findings else "accuracy"
    headline = [(one.round, one.macro_auroc if of_findings else one.test_accuracy) for one in records]
    scores = {
        first: [(number, value) for number, value in headline if value is not None],
        "macro F1": [(record.round, record.macro_f1) for record in records],
    }
    spent = {name: [(one.round, one.epsilon[name]) for one in records if name in one.epsilon] for name in names}
    rows = [
        [
            record.round,
            "–" if value is None else f"{value:.3f}",
            f"{record.macro_f1:.3f}",
            ", ".join(record.datasites) or "given up",
            f"{record.seconds['total']:.1f} s",
            *(rounded.cost(record.epsilon[name]) if name in record.epsilon else "–" for name in names),
        ]
        for record, (_, value) in zip(records, headline, strict=True)
    ]
    head = ["round", first, "macro F1", "in the mean", "took", *(f"epsilon at {name}" for name in names)]
    drawn = curves("Global model on the public hold-out", scores, highest=1.0)
    return joined(drawn, curves("Epsilon spent by this study", spent), table("Rounds", head, rows))
