"""An own loss is captured as what it computes, picture by picture, or refused with its own line and what to use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from datasites.training.graphs import OwnLoss
from policies.errors import GraphError
from policies.graphs.losses.loss_graph import read_loss
from policies.graphs.losses.loss_proof import prove_loss
from researcher.captures.loss_capture import CapturedLoss, capture_loss
from researcher.cli.program import main

WEIGHTS = torch.tensor([1.0, 2.0, 0.5])
Loss = Callable[..., torch.Tensor]


def focal(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, less where a picture is right already."""
    log = (output.log_softmax(dim=1) * label).sum(dim=1)
    return -((1 - log.exp()) ** 2 * log).mean()


def above(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Squared distance of the distributions so far, for grades."""
    return ((output.softmax(1).cumsum(1) - label.cumsum(1)) ** 2).sum(1)


def evidential(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """What evidence there is for each class, as numbers of a Dirichlet distribution; wrong evidence costs more."""
    evidence = F.softplus(output) + 1
    risk = (label * (evidence.sum(1, keepdim=True).digamma() - evidence.digamma())).sum(1)
    wrong = label + (1 - label) * evidence
    total = wrong.sum(1, keepdim=True)
    away = total[:, 0].lgamma() - wrong.lgamma().sum(1) + ((wrong - 1) * (wrong.digamma() - total.digamma())).sum(1)
    return risk + 0.1 * away


class Costs(nn.Module):
    """What mistakes cost, by a table that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", (torch.arange(3.0)[:, None] - torch.arange(3.0)) ** 2)

    def forward(self, output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return ((label @ self.table) * output.softmax(1)).sum(1)


CAPTURED: dict[str, Loss] = {
    "focal": focal,
    "grades": above,
    "evidence": evidential,
    "a module": Costs(),
    "cross-entropy": F.cross_entropy,
    "weighted and smoothed": nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.1),
    "a sum over pictures": lambda o, y: F.cross_entropy(o, y, reduction="sum"),
    "a sum over the batch's size": lambda o, y: (o.log_softmax(1) * y).sum() / o.shape[0],
    "what is linear in means": lambda o, y: 2 * F.cross_entropy(o, y) - 0.1 * (o**2).mean() / 3,
    "margins": lambda o, y: ((1 + o - (o * y).sum(1, keepdim=True)).relu() * (1 - y)).sum(1),
    "by logsumexp": lambda o, y: (torch.logsumexp(o, 1) - (o * y).sum(1)).mean(0),
    "by logsigmoid": lambda o, y: -F.logsigmoid(o * (2 * y - 1)).sum(1).mean(),
    "squares": lambda o, y: F.mse_loss(o.softmax(1), y),
    "a divergence": lambda o, y: F.kl_div(o.log_softmax(1), y, reduction="batchmean"),
    "a divergence of smoothed grades": lambda o, y: F.kl_div(o.log_softmax(1), 0.7 * y + 0.1, reduction="none").sum(1),
    "a divergence of logarithms": lambda o, y: F.kl_div(
        o.log_softmax(1), (2 * y).log_softmax(1), log_target=True, reduction="batchmean"
    ),
    "a label that is detached": lambda o, y: F.cross_entropy(o, y.detach()),
    "distances": lambda o, y: F.l1_loss(o.softmax(1), y, reduction="none").sum(1),
    "smooth": lambda o, y: F.smooth_l1_loss(o, 3 * y, beta=0.7),
    "Huber's": lambda o, y: F.huber_loss(o, 3 * y, delta=0.7),
    "a margin by a comparison": lambda o, y: torch.where((2 * y - 1) * o < 1, 1 - (2 * y - 1) * o, 0.0).mean(),
    "only what is not surely right": lambda o, y: (
        F.binary_cross_entropy_with_logits(o, y, reduction="none") * ((o > 2) != (y == 1)).float()
    ).sum(1),
    "binary": lambda o, y: F.binary_cross_entropy_with_logits(o, y, pos_weight=WEIGHTS),
}


def findings(output: torch.Tensor, label: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    return (F.binary_cross_entropy_with_logits(output, label, reduction="none") * known).mean()


def rows_of(captured: CapturedLoss, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return OwnLoss(prove_loss(captured.graph)).rows(output, labels)


@pytest.mark.parametrize("name", CAPTURED)
def test_a_captured_loss_gives_each_picture_what_the_function_gives_it_alone(name: str) -> None:
    loss = CAPTURED[name]
    captured = capture_loss(loss, num_classes=3)
    output, labels = torch.randn(7, 3, generator=torch.Generator().manual_seed(5)) * 3, torch.arange(7) % 3
    label = F.one_hot(labels, 3).float()
    alone = torch.stack([loss(output[i : i + 1], label[i : i + 1]).reshape(()) for i in range(7)])
    torch.testing.assert_close(rows_of(captured, output, labels), alone, rtol=1e-5, atol=1e-6)
    takes_off = loss(output, label).dim() == 0
    notes = [note for note in captured.notes if not note.startswith("Written as several operators")]
    assert len(notes) == takes_off and all("was taken off" in note for note in notes)


def test_findings_are_given_with_which_are_known() -> None:
    captured = capture_loss(findings, num_classes=3, label_kind="multi")
    output, labels = torch.randn(2, 3), torch.tensor([[1, 0, -1], [-1, -1, -1]], dtype=torch.int8)
    told = F.binary_cross_entropy_with_logits(output[0, :2], torch.tensor([1.0, 0.0]), reduction="sum") / 3
    torch.testing.assert_close(rows_of(captured, output, labels), torch.stack([told, torch.tensor(0.0)]))


def test_a_captured_loss_holds_no_code_and_reads_back(tmp_path: Path) -> None:
    captured = capture_loss(focal, num_classes=3)
    text = captured.save(tmp_path / "loss.graph.json").read_text()
    assert prove_loss(read_loss(text)).loss == captured.graph
    assert "def focal" not in text and str(Path(__file__).parent) not in text
    assert any(node.source.startswith("test_capture_loss.py:") for node in captured.graph.nodes)


def pairs(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """A contrastive loss: pictures of one class are drawn together."""
    likeness = output @ output.t()
    return -(likeness.log_softmax(1) * (label @ label.t())).sum(1)


class Trained(nn.Module):
    """A loss with a number that is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self.scale * output, label)


APART = "what one picture's loss is would depend on the others"
REFUSED: dict[str, tuple[Loss, str]] = {
    "softmax over pictures": (lambda o, y: (o.softmax(0) * y).sum(1), "normalises over axis 0"),
    "outputs without their mean": (lambda o, y: ((o - o.mean(0)) * y).sum(1), "reduces over axis 0"),
    "sorted over pictures": (lambda o, y: (o.sort(0).values * y).sum(1), "sorted"),
    "contrastive": (pairs, "batch size in another way|every picture"),
    "distances between pictures": (lambda o, y: torch.cdist(o, o).sum(1) + y.sum(1), "batch|traced|no rule"),
    "over the batch's own sum": (lambda o, y: (o * y).sum() / y.sum(), APART),
    "beside the batch's mean": (lambda o, y: (o * y).sum(1) - (o * y).sum(1).mean(), APART),
    "a square of the mean": (lambda o, y: F.cross_entropy(o, y) ** 2, APART),
    "a sum beside a mean": (lambda o, y: (o * y).sum() + (o * y).mean(), "adds a sum over pictures to a mean"),
    "turned round": (lambda o, y: (o.flip(0) * y).sum(1), "flips over axis 0"),
    "the first picture": (lambda o, y: ((o + o[:1]) * y).sum(1), "some of the pictures"),
    "random": (lambda o, y: (o * y).sum(1) * torch.rand(()), "random numbers"),
    "by the number of pictures": (lambda o, y: (o * y).sum(1) * o.shape[0], "batch size"),
    "a choice by values": (lambda o, y: (o * y).sum(1) if o.sum() > 0 else o.sum(1), "cannot be traced"),
    "a class's number": (lambda o, y: F.nll_loss(o.log_softmax(1), y.argmax(1)), "the label comes as ones and zeros"),
    "a comparison": (lambda o, y: ((o > 0).float() * y).sum(1), "only compares the outputs"),
    "a comparison with another picture": (lambda o, y: (o * (o > o.flip(0)) * y).sum(1), "flips over axis 0"),
    "a stopped gradient": (lambda o, y: (o.detach() * y).sum(1), "has no gradient"),
    "no gradient": (lambda o, y: (o.clamp(90, 91) * y).sum(1), "has no gradient"),
    "no label": (lambda o, y: o.square().sum(1), "label is not used"),
    "no output": (lambda o, y: y.sum(1), "output is not used"),
    "a number for each class": (lambda o, y: o * y, "a number for each picture"),
    "not finite": (lambda o, y: ((o * 0 - 1).log() * y).sum(1), "not finite"),
    "trained": (Trained(), "no trained parameters"),
    "no function": (5, "must be a function"),  # type: ignore[dict-item]
    "another result": (lambda o, y: (o, y), "return one tensor"),  # type: ignore[return-value]
    "an error of its own": (lambda o, y: o @ y, "cannot be traced"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_loss_that_is_none_of_each_picture_is_refused(name: str) -> None:
    loss, why = REFUSED[name]
    with pytest.raises(GraphError, match=why):
        capture_loss(loss, num_classes=3)


def test_a_loss_that_changes_from_call_to_call_is_refused() -> None:
    calls: list[None] = []

    def changing(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        calls.append(None)
        return (output * label).sum(1) * len(calls)

    with pytest.raises(GraphError, match="another loss than the function"):
        capture_loss(changing, num_classes=3)


def test_what_is_refused_is_told_with_its_line() -> None:
    def mixed(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        shifted = output - output.amax(0)
        return (shifted * label).sum(1)

    with pytest.raises(GraphError, match=r"written at test_capture_loss.py:\d+: shifted = output - output.amax"):
        capture_loss(mixed, num_classes=3)


@pytest.mark.parametrize("settings", [{"num_classes": 1}, {"num_classes": 3, "label_kind": "grades"}])
def test_settings_that_no_dataset_has_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match="label_kind must be one of"):
        capture_loss(focal, **settings)


@pytest.fixture
def own_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of losses, which is the current one."""
    (tmp_path / "own_loss.py").write_text(
        "from torch.nn import CrossEntropyLoss\n\n\n"
        "def squares(output, label):\n    return (output.softmax(1) - label).square().sum(1).mean()\n\n\n"
        "def known(output, label, known):\n    return ((output - label).square() * known).mean(1)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "more", "operators"),
    [
        ("squares", [], 4),
        ("CrossEntropyLoss", [], 4),
        ("known", ["--label_kind", "multi"], 4),
    ],
)
def test_a_command_line_says_what_it_traces_and_captures_the_loss_itself(
    own_loss: Path, capsys: pytest.CaptureFixture[str], name: str, more: list[str], operators: int
) -> None:
    assert main(["capture", "--loss", f"own_loss:{name}", "--num_classes", "4", *more]) == 0
    told = capsys.readouterr().out
    loss = read_loss((own_loss / "loss.graph.json").read_text())
    assert told.startswith(f"Tracing own_loss:{name} ...\n") and f"{operators} operators; for a picture" in told
    assert told.endswith(f"Written: loss.graph.json (digest {loss.digest()})\n")
    assert loss.num_classes == 4 and loss.label_kind == ("multi" if more else "single")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["own_network:make", "--loss", "own_loss:squares"], "Leave out the network"),
        (["--loss", "own_loss:squares", "--image_shape", "8x8x3"], "Leave out --image_shape"),
        (["--loss", "own_loss:squares", "--weights", "w.safetensors"], "Leave out --weights"),
        ([], "Name the network and give --image_shape, or give --loss"),
        (["own_network:make"], "Name the network and give --image_shape, or give --loss"),
        (["own_network:make", "--image_shape", "8x8x3", "--label_kind", "multi"], "--label_kind is of a loss"),
        (["--loss", "own_loss:nothing"], "Expected MODULE:FUNCTION"),
    ],
)
def test_a_command_line_of_neither_is_refused(
    own_loss: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(["capture", *arguments, "--num_classes", "4"]) != 0
    assert told in capsys.readouterr().err
    assert not (own_loss / "loss.graph.json").exists()
