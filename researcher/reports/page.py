"""`report.html`: one page about a study, complete in itself. Shows what `StudyResult` holds, escaped."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from policies.answers import rounded
from policies.untrusted_text import shown
from researcher import atomic_file
from researcher.evaluation.hold_out import without
from researcher.html import element
from researcher.reports import counts, drawing, own_models, settings, wording
from researcher.reports.participation import told_canaries, told_invited
from researcher.reports.plots import MANY_CLASSES
from researcher.reports.result import StudyResult
from researcher.studies.history import PHASES, PrivacySpent

ALT = {
    "accuracy": "Test accuracy of the global model by round, and of each hospital alone",
    "macro_auroc": "Macro AUROC of the global model by round, and of each hospital alone",
    "macro_f1": "Macro F1 of the global model by round, and of each hospital alone",
    "findings": "AUROC of the global model for each finding on the public hold-out",
    "confusion": "Confusion matrix of the global model on the public hold-out",
    "privacy": "Epsilon spent at each hospital by round",
}
_MOST_IN_A_PLACE = 10_000  # a sentence may name many hospitals


class _Base64(str):
    """A picture's bytes, as long as they are; nothing that somebody wrote."""


def _finalize(value: object) -> str:
    """What every value on the page passes through, before it is escaped for HTML."""
    return value if isinstance(value, _Base64) else shown(value, most=_MOST_IN_A_PLACE)


_TEMPLATES = Environment(
    loader=FileSystemLoader([Path(__file__).parent, Path(element.__file__).parent]),
    autoescape=True,
    finalize=_finalize,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_page(path: Path | str, result: StudyResult, plots: Mapping[str, Path]) -> Path:
    """Writes the page: inline style, embedded pictures, no script, no request to anywhere.

    Args:
        path: Of the page.
        result: What it tells.
        plots: Name of the plot → PNG file, as `write_plots` returns them.

    Raises:
        ConfigError: A plot cannot be read, or the page cannot be written.
    """
    page = _TEMPLATES.get_template("page.html.jinja").render(
        study=result.plan.study,
        finished=result.finished,
        kind="simulation report" if result.simulated else "study report",
        summary=wording.summary(result),
        headline=_headline(result),
        absent=_absent(result),
        score=_named_score(result),
        score_in_words=wording.headline(result.final)[0],
        findings=_findings(result),
        plots=_plots(result, plots),
        unwritten=drawing.unwritten(result.class_names),
        **_hospitals(result),
        guarantee=wording.guarantee(result),
        odds=wording.odds_of_membership(result),
        **_time(result),
        skips=_skips(result),
        counted=[counts.shown(one) for one in result.counts],
        rounds=_rounds(result),
        settings=settings.of_plan(result.plan),
        **settings.of_hosts(result.versions),
        digest=result.plan.digest(),
    )
    return atomic_file.write(path, page)


def _headline(result: StudyResult) -> list[dict[str, str]]:
    rounds = wording.count(len(result.rounds), "round")
    name, value = wording.headline(result.final)
    first, compared = ("Test accuracy", "accuracy") if name == "accuracy" else (_named_score(result), "macro_auroc")
    time = wording.seconds(sum(r.seconds["total"] for r in result.rounds))
    figures = (
        (first, value, wording.against(result, compared)),
        ("Macro F1", f"{result.final.macro_f1:.3f}", wording.against(result, "macro_f1")),
        ("Epsilon, highest", _worst(result)["epsilon"], wording.privacy_note(result)),
        ("Time", time, f"{rounds}, {wording.size(result.bytes_per_round)} each"),
    )
    return [{"name": name, "value": value, "note": note} for name, value, note in figures]


def _absent(result: StudyResult) -> str:
    """Of which classes the hold-out has no picture, so that no score says anything of them; empty where of none."""
    rows = zip(result.class_names, result.final.confusion, strict=False)  # no row where labels are findings
    return " ".join(without([name for name, row in rows if not sum(row)]))


def _skips(result: StudyResult) -> list[dict[str, str]]:
    """Who was left out of which rounds, and why."""
    return [
        {
            "rounds": one.rounds.capitalize(),
            "datasite": name,
            "reason": one.reason,
        }
        for name, part in result.participation.items()
        for one in part.left_out
    ]


def _named_score(result: StudyResult) -> str:
    """The name of the score that the page shows first, as a table's head writes it."""
    name, _ = wording.headline(result.final)
    return name[0].upper() + name[1:]


def _findings(result: StudyResult) -> list[dict[str, str]]:
    """A row for each finding; none where labels are classes."""
    return [
        {
            "name": name,
            "known": f"{one.known:,}",
            "present": f"{one.present:,}",
            "auroc": wording.score(one.auroc),
            "average_precision": wording.score(one.average_precision),
            "f1": wording.score(one.f1),
            "sensitivity": wording.score(one.sensitivity),
            "specificity": wording.score(one.specificity),
        }
        for name, one in zip(result.class_names, result.final.findings, strict=False)
    ]


def _plots(result: StudyResult, plots: Mapping[str, Path]) -> list[dict[str, object]]:
    wide = {"confusion", "findings"} if len(result.class_names) > MANY_CLASSES else set()
    order = sorted((name for name in ALT if name in plots), key=lambda name: name in wide)
    return [
        {
            "base64": _Base64(base64.b64encode(atomic_file.read(plots[name])).decode()),
            "alt": ALT[name],
            "wide": name in wide,
        }
        for name in order
    ]


def _hospitals(result: StudyResult) -> dict[str, object]:
    rows = []
    for name in result.datasites:
        alone = result.local_only.get(name)
        rows.append(
            {
                "name": name,
                "public_size": wording.units(result.public_sizes[name]),
                "rounds": sum(name in r.datasites for r in result.rounds),
                **_spent(result.privacy[name], private=name not in result.not_private),
                "total": _spent(result.privacy_total.get(name))["epsilon"],
                "score": wording.headline(alone)[1] if alone else "–",
                "macro_f1": f"{alone.macro_f1:.3f}" if alone else "–",
                **own_models.row(result, name),
            }
        )
    total = {
        "public_size": wording.units(*(result.public_sizes[name] for name in result.took_part)),
        "rounds": len(result.rounds),
        **_worst(result),
        "total": _spent(wording.highest(result.privacy_total))["epsilon"],
        "score": wording.headline(result.final)[1],
        "macro_f1": f"{result.final.macro_f1:.3f}",
        **own_models.total(result),
    }
    return {
        "hospitals": rows,
        "total": total,
        "has_total": bool(result.privacy_total),
        "total_is": "with baseline" if result.gram_noise is None else "with the Gram matrix",
        "has_local": bool(result.local_only),
        "has_own": bool(result.own_models),
        "has_home": bool(result.at_home),
        "taking_part": " ".join(filter(None, [wording.taking_part(result), told_invited(result.invited)])),
        "canaries": told_canaries(result.canaries),
        "hospitals_note": " ".join(filter(None, [wording.hospitals_note(result), own_models.note(result)])),
    }


def _worst(result: StudyResult) -> dict[str, str]:
    if result.not_private:
        return _spent(None, private=False)
    return _spent(wording.highest(result.privacy))


def _spent(spent: PrivacySpent | None, *, private: bool = True) -> dict[str, str]:
    """Without a cost: infinite where training was not private, a dash where there was none."""
    if spent is None:
        return {"epsilon": "–" if private else "∞", "delta": "–", "unit": "–"}
    return {
        "epsilon": rounded.cost(spent.epsilon),
        "delta": wording.number(spent.delta),
        "unit": spent.unit,
    }


def _time(result: StudyResult) -> dict[str, object]:
    parts = {phase: [r.seconds[phase] for r in result.rounds] for phase in PHASES[:-1]}
    totals = [r.seconds["total"] for r in result.rounds]
    parts["other"] = [max(0.0, total - sum(known)) for total, *known in zip(totals, *parts.values(), strict=True)]
    whole = sum(sum(spent) for spent in parts.values()) or 1.0
    phases = []
    for phase, spent in parts.items():
        share = sum(spent) / whole
        phases.append(
            {
                "name": phase,
                "percent": f"{100 * share:.2f}",
                "share": f"{share:.0%}",
                **_amounts(spent, wording.seconds),
            }
        )
    traffic = [
        {"name": "whole round", **_amounts(totals, wording.seconds)},
        {"name": "sent to hospitals", **_amounts([r.bytes_up for r in result.rounds], wording.size)},
        {"name": "received from hospitals", **_amounts([r.bytes_down for r in result.rounds], wording.size)},
    ]
    text = "Share of the study's time: " + ", ".join(f"{part['name']} {part['share']}" for part in phases)
    return {"phases": phases, "traffic": traffic, "bar_text": text}


def _amounts(values: Sequence[float], written: Callable[[float], str]) -> dict[str, str]:
    return {
        "mean": written(sum(values) / len(values)),
        "longest": written(max(values)),
        "sum": written(sum(values)),
    }


def _rounds(result: StudyResult) -> list[dict[str, object]]:
    return [
        {
            "round": r.round,
            "score": wording.headline(r)[1],
            "macro_f1": f"{r.macro_f1:.3f}",
            "epsilon": rounded.cost(max(r.epsilon.values())) if r.epsilon else "–",
            "datasites": len(r.datasites),
            "seconds": wording.seconds(r.seconds["total"]),
            "sent": wording.size(r.bytes_up),
            "received": wording.size(r.bytes_down),
        }
        for r in result.rounds
    ]
