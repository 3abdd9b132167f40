"""FedBN: every hospital keeps scales and shifts of the norms of its own, which never leave it; the rest is averaged.

Li, Jiang, Zhang, Kamp, Dou, "FedBN: Federated Learning on Non-IID Features via Local Batch Normalization", ICLR 2021.
The models here have no batch norm, whose statistics would mix the pictures of a batch: what stays are the scales and
shifts of their GroupNorm and LayerNorm, and there are no statistics.
"""

from __future__ import annotations

from dataclasses import dataclass

from researcher.strategies.local_part.shared_part import SharedPart


@dataclass(frozen=True)
class FedBn(SharedPart):
    """Averages all parameters but the norms'."""
