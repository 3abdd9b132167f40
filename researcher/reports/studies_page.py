"""One page about several studies: scores by round, epsilon, bytes and time, and what each hospital gained.

It shows what the studies' `result.json` hold: released numbers and public hold-outs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from policies.answers import rounded
from policies.errors import ConfigError
from policies.untrusted_text import in_one_form
from researcher import atomic_file
from researcher.evaluation.evaluation import Evaluation
from researcher.html.curves import ROUND, curves
from researcher.html.element import Html, element, listed, table
from researcher.html.page import charts, page, paragraph, section, wide
from researcher.reports import wording
from researcher.reports.kept_result import read_result
from researcher.reports.result import StudyResult
from researcher.studies.history import RoundRecord

Studies = Mapping[str, StudyResult]
_MEGABYTE = 1e6
_Z = 1.96


def write_studies(path: Path, folders: Sequence[Path]) -> Path:
    """Writes the page that compares studies.

    Args:
        path: Of the page.
        folders: Of finished studies, two or more.

    Raises:
        ConfigError: A folder is named twice, or holds no finished study, or the page cannot be written.
    """
    if twice := [str(folder) for folder, often in Counter(one.resolve() for one in folders).items() if often > 1]:
        raise ConfigError(f"{twice[0]} is named twice. Name each study once.")
    results = [read_result(folder / "result.json") for folder in folders]
    alike = Counter(result.plan.study for result in results)
    named = {
        result.plan.study if alike[result.plan.study] == 1 else str(folder): result
        for folder, result in zip(folders, results, strict=True)
    }
    return atomic_file.write(path, page_of(named))


def page_of(studies: Studies) -> Html:
    """The page: one file that asks for nothing from anywhere."""
    return page(
        f"{len(studies)} studies",
        "studies compared",
        element("p", f"{', '.join(studies)}: what each reached, and what it cost.", class_="lede"),
        section("Side by side", wide(_overview(studies)), listed(cautions(studies))),
        section("Scores and their price", charts(*_charts(studies))),
        *(section(f"{name}: alone and together", *_gains(result)) for name, result in studies.items()),
    )


def cautions(studies: Studies) -> Iterator[str]:
    """Why scores or epsilons of these studies cannot simply be held beside each other."""
    results = list(studies.values())
    if len({in_one_form(result.class_names) for result in results}) > 1:
        yield "They do not tell the same classes: their scores say nothing of each other."
    elif len({_hold_out(result) for result in results}) > 1:
        yield (
            "They were not scored on the same hold-out, as its numbers of pictures of each class differ: a difference "
            "of scores may be one of pictures. Judge the models on the same test data: python -m researcher evaluate."
        )
    promises = {(one.unit, one.delta) for result in results for one in result.privacy.values() if one is not None}
    if len(promises) > 1:
        told = "; ".join(f"per {unit} at delta {wording.number(delta)}" for unit, delta in sorted(promises))
        yield f"Their epsilons are not of one kind: {told}. Only those of one unit and delta can be compared."
    if unknown := [name for name, result in studies.items() if result.not_private]:
        yield f"Not differentially private: {', '.join(unknown)}. Such a study promises its patients nothing."
    if simulated := [name for name, result in studies.items() if result.simulated]:
        yield (
            f"Simulated at made-up hospitals: {', '.join(simulated)}. What they cost is what the same plan would cost "
            "in earnest; nobody was protected by it."
        )
    if len({result.plan.dataset for result in results}) > 1:
        yield f"They are of different datasets: {', '.join(sorted({result.plan.dataset for result in results}))}."


def _hold_out(result: StudyResult) -> tuple[tuple[int, int], ...]:
    """How many pictures of each class, or known and present of each finding, the hold-out has."""
    final = result.final
    if final.findings:
        return tuple((one.known, one.present) for one in final.findings)
    return tuple((sum(row), sum(row)) for row in final.confusion)


def _overview(studies: Studies) -> Html:
    rows = [
        [
            name,
            f"{result.plan.model.called}, {result.parameters:,} parameters",
            f"{len(result.took_part)} of {len(result.datasites)}",
            len(result.rounds),
            " ".join(wording.headline(result.final)),
            f"{result.final.macro_f1:.3f}",
            _epsilon(result),
            wording.size(sum(one.bytes_up + one.bytes_down for one in result.rounds)),
            wording.seconds(sum(one.seconds["total"] for one in result.rounds)),
        ]
        for name, result in studies.items()
    ]
    head = ["study", "model", "hospitals", "rounds", "score", "macro F1", "epsilon, highest", "bytes", "time"]
    return table("The last global model of each, and what all its rounds cost", head, rows)


def _epsilon(result: StudyResult) -> str:
    spent = None if result.not_private else wording.highest(result.privacy)
    return "∞" if spent is None else rounded.cost(spent.epsilon)


def _charts(studies: Studies) -> Iterator[Html]:
    """The score over each price that was paid for it, then epsilon over rounds."""
    prices = {
        ROUND: lambda rounds: [float(one.round) for one in rounds],
        "epsilon, highest": lambda rounds: _highest_epsilons(rounds),
        "MB, both ways": lambda rounds: list(accumulate((one.bytes_up + one.bytes_down) / _MEGABYTE for one in rounds)),
        "minutes": lambda rounds: list(accumulate(one.seconds["total"] / 60 for one in rounds)),
    }
    noun = " and ".join(sorted({wording.headline(result.final)[0] for result in studies.values()}))
    for across, price in prices.items():
        lines = {
            name: [
                (at, value)
                for at, value in zip(price(result.rounds), map(_score, result.rounds), strict=True)
                if value is not None and (across != "epsilon, highest" or at > 0)
            ]
            for name, result in studies.items()
        }
        yield curves(f"Global model's {noun}, by {across}", lines, highest=1.0, across=across)
    f1 = {name: [(float(one.round), one.macro_f1) for one in result.rounds] for name, result in studies.items()}
    yield curves("Global model's macro F1, by round", f1, highest=1.0)
    spent = {
        name: [
            (float(one.round), at)
            for one, at in zip(result.rounds, _highest_epsilons(result.rounds), strict=True)
            if at
        ]
        for name, result in studies.items()
    }
    yield curves("Epsilon, the highest of all hospitals, by round", spent)


def _highest_epsilons(rounds: Sequence[RoundRecord]) -> list[float]:
    """After each round; one that a hospital sat out keeps what it had spent."""
    return list(accumulate((max(one.epsilon.values(), default=0.0) for one in rounds), max))


def _score(record: RoundRecord | Evaluation) -> float | None:
    if record.findings:
        return record.macro_auroc
    return record.test_accuracy if isinstance(record, RoundRecord) else record.accuracy


def _gains(result: StudyResult) -> Iterator[Html]:
    """What each hospital's own training reached beside what all reached together."""
    if not result.local_only:
        yield paragraph("This study has no training of a hospital alone to hold its model against.", small=True)
        return
    noun, together = wording.headline(result.final)[0], _score(result.final)
    alone = {name: _score(evaluation) for name, evaluation in result.local_only.items()}
    gains = {name: together - one for name, one in alone.items() if one is not None and together is not None}
    rows = [
        [name, wording.score(alone[name]), wording.score(together), f"{gains[name]:+.3f}" if name in gains else "–"]
        for name in alone
    ]
    yield wide(table(f"{noun} on the public hold-out", ["hospital", "alone", "together", "gained"], rows))
    for sentence in gained(gains, _unsure(result)):
        yield paragraph(sentence)


def gained(gains: Mapping[str, float], unsure: float) -> Iterator[str]:
    """Who gained, who lost, and of whom a hold-out of this size cannot say.

    Args:
        gains: Hospital → score of all together less its own.
        unsure: A difference up to this may be one of the hold-out's pictures alone.
    """
    sorts = {
        "gained": [name for name, gain in gains.items() if gain > unsure],
        "lost": [name for name, gain in gains.items() if gain < -unsure],
        "neither gained nor lost by more than the hold-out's pictures may make": [
            name for name, gain in gains.items() if abs(gain) <= unsure
        ],
    }
    for what, names in sorts.items():
        if names:
            yield f"{len(names)} of {wording.count(len(gains), 'hospital')} {what}: {', '.join(names)}."
    if gains:
        most = max(gains, key=lambda name: gains[name])
        if gains[most] > unsure:
            yield f"{most} gained most, {gains[most]:+.3f}."
    if unsure:
        yield f"On a hold-out of this size a difference up to {unsure:.3f} may be one of its pictures alone."


def _unsure(result: StudyResult) -> float:
    """The half width of the interval of a difference of two shares right; that of findings is not known here."""
    pictures = sum(map(sum, result.final.confusion))
    share = result.final.test_accuracy
    return _Z * math.sqrt(2 * share * (1 - share) / pictures) if pictures else 0.0
