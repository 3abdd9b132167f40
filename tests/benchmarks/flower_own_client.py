"""A hospital's part of a round as a user of Flower and Opacus writes it, of whom neither knows the datasites' trainer.

A model of torch's layers that is built in every call from what was sent, torch's `DataLoader` over the hospital's
pictures, and with privacy Opacus' `PrivacyEngine`: Poisson draws by its loader, gradients by its hooks, noise by its
optimiser from torch's generator. What the plan says is kept: steps, batches, learning rates, noise and clipping. Draws
and noise are its own, so updates are not the other side's, and accuracies are alike. Used by flower_simulation.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


@dataclass(frozen=True)
class Settings:
    """What a plan says, as plain numbers.

    Attributes:
        steps: That a hospital takes in a round.
        total_steps: In all rounds, along which the learning rate falls as half a cosine.
        learning_rate: Of the first step.
        sample_rate: Share of a hospital's pictures that a step takes on average.
        noise_multiplier: Of a private step; None without privacy.
        max_grad_norm: That a picture's gradient is clipped to.
    """

    steps: int
    total_steps: int
    learning_rate: float
    sample_rate: float
    noise_multiplier: float | None = None
    max_grad_norm: float = 1.0

    @classmethod
    def of(cls, plan: Mapping[str, Any]) -> Settings:
        """Reads a plan that has been read as JSON.

        Raises:
            ValueError: The plan asks for what this client does not do.
        """
        usual = {"augmentation": "none", "augmentation_multiplicity": 1, "learning_rate_schedule": "cosine"}
        usual |= {"momentum": 0.0, "proximal_mu": 0.0, "weight_decay": 0.0, "update_encoding": "none"}
        if plan["model"]["name"] != "small_cnn" or plan["model"]["options"] or plan["model"]["image_shape"][2] != 3:
            raise ValueError("This client has the small network for pictures in colour alone.")
        if other := [name for name, value in usual.items() if plan[name] != value]:
            raise ValueError(f"This client does not do what the plan says of {other}.")
        numbers = {name: plan[name] for name in ("learning_rate", "sample_rate")}
        privacy = plan["privacy"] or {}
        for name in ("noise_multiplier", "max_grad_norm"):
            numbers |= {name: privacy[name]} if privacy else {}
        each = plan["steps_per_round"]
        return cls(steps=each, total_steps=each * plan["rounds"], **numbers)

    def learning_rate_at(self, step: int) -> float:
        """Of a step, counted from 0 over all rounds."""
        return self.learning_rate * (1 + math.cos(math.pi * step / self.total_steps)) / 2


class Net(nn.Module):
    """Three convolutions with GroupNorm and a linear head, for pictures of (3, H, W)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 16, 3, padding=1), nn.GroupNorm(4, 16)
        self.conv2, self.norm2 = nn.Conv2d(16, 32, 3, padding=1), nn.GroupNorm(4, 32)
        self.conv3, self.norm3 = nn.Conv2d(32, 32, 3, padding=1), nn.GroupNorm(4, 32)
        self.pool, self.last_pool = nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(4)
        self.fc = nn.Linear(32 * 4 * 4, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32, (B, 3, H, W) → logits, (B, num_classes)."""
        x = self.pool(torch.tanh(self.norm1(self.conv1(x))))
        x = self.pool(torch.tanh(self.norm2(self.conv2(x))))
        x = self.last_pool(torch.tanh(self.norm3(self.conv3(x))))
        return self.fc(torch.flatten(x, 1))


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """uint8, (N, H, W, 3) → float32, (N, 3, H, W), on the scale that the plan's models have."""
    return (torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).contiguous().float() - 128) / 64


def train(
    settings: Settings,
    round_index: int,
    sent: Mapping[str, torch.Tensor],
    images: np.ndarray,
    labels: np.ndarray,
    public_size: int,
) -> dict[str, torch.Tensor]:
    """Trains one hospital's round.

    Args:
        settings: Of the plan.
        round_index: From 0.
        sent: The state of a `Net`.
        images: The hospital's, uint8, (N, H, W, 3).
        labels: int64, (N,).
        public_size: By which a private step's sum is divided, times the sample rate, as the plan's hospitals do.

    Returns:
        The state that the `Net` ends with.
    """
    model = Net(len(sent["fc.bias"]))
    model.load_state_dict(dict(sent))
    model.train()
    optimizer: Any = torch.optim.SGD(model.parameters(), lr=settings.learning_rate)
    pictures = TensorDataset(to_tensor(images), torch.from_numpy(np.array(labels)))
    loader: Any = DataLoader(pictures, batch_size=round(settings.sample_rate * public_size), shuffle=True)
    trained: Any = model
    if settings.noise_multiplier is not None:
        from opacus import PrivacyEngine

        trained, optimizer, loader = PrivacyEngine().make_private(
            module=model,
            optimizer=optimizer,
            data_loader=loader,
            noise_multiplier=settings.noise_multiplier,
            max_grad_norm=settings.max_grad_norm,
        )
        optimizer.expected_batch_size = settings.sample_rate * public_size
    criterion = nn.CrossEntropyLoss()
    for number, (batch, classes) in zip(range(settings.steps), _epochs(loader), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate_at(round_index * settings.steps + number)
        optimizer.zero_grad()
        criterion(trained(batch), classes).backward()
        optimizer.step()
    return model.state_dict()


def accuracy(state: Mapping[str, torch.Tensor], images: np.ndarray, labels: np.ndarray) -> float:
    """Share of right answers of a `Net` with this state; arrays as in `train`."""
    model = Net(len(state["fc.bias"]))
    model.load_state_dict(dict(state))
    model.eval()
    right = 0
    with torch.no_grad():
        for batch, classes in DataLoader(TensorDataset(to_tensor(images), torch.from_numpy(labels)), batch_size=64):
            right += int((model(batch).argmax(dim=1) == classes).sum())
    return right / len(labels)


def _epochs(loader: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of one epoch after the other."""
    while True:
        yield from loader
