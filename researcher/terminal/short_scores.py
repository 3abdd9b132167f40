"""Short scores on public test data in the terminal, as JSON: imports nothing of the judgement that says more."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

from policies.terminal.printing import say, say_json
from researcher.evaluation.copies import refuse_two_classes
from researcher.evaluation.evaluation import scores_of
from researcher.judgement.opened_model import open_model
from researcher.judgement.test_data import load_test_data


def say_scores(model_path: Path, test_data: Path, backbone_weights: str | None, accept: Collection[str] = ()) -> None:
    """Prints a model's scores, without their intervals, as JSON.

    Raises:
        WanwuError: As `judge`.
    """
    model = open_model(model_path)
    hold_out = load_test_data(test_data, model, backbone_weights=backbone_weights).hold_out
    refuse_two_classes(hold_out.copies(), str(test_data), accept)
    for told in hold_out.told():
        say(told, to_errors=True)
    scores, names = scores_of(hold_out.labels, model.probabilities(hold_out)), model.about.class_names
    summary: dict[str, object] = {"accuracy": scores.accuracy, "macro_f1": scores.macro_f1}
    if scores.findings:
        findings = {name: vars(finding) for name, finding in zip(names, scores.findings, strict=True)}
        summary |= {"macro_auroc": scores.macro_auroc, "findings": findings}
    else:
        recall = {name: None if math.isnan(share) else share for name, share in zip(names, scores.recall, strict=True)}
        summary |= {"recall": recall}
    say_json({**summary, "pictures": len(hold_out.labels)}, indent=2)
