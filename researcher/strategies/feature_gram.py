"""The Gram matrix of a head's features, as hospitals released it with noise. What is made of it costs no privacy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from policies.contracts.weights import canonical_bytes
from policies.errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class FeatureGram:
    """The sum over hospitals of their noised Gram matrices.

    Attributes:
        matrix: float64, (D, D), symmetric; D is the number of features and 1 for the bias.
        public_size: How many privacy units these hospitals declare together.
    """

    matrix: np.ndarray
    public_size: float

    @classmethod
    def of(cls, released: Iterable[Mapping[str, np.ndarray]], public_size: float) -> Self:
        """Adds up what hospitals released.

        Args:
            released: Of each hospital `squares`, (D,), and `products`, (D (D - 1) / 2,), of one D.
            public_size: How many privacy units they declare together.

        Raises:
            DataError: Nothing was released, or arrays are missing, not finite, or of other shapes.
        """
        total: np.ndarray | None = None
        for arrays in released:
            matrix = _matrix(arrays)
            if total is not None and total.shape != matrix.shape:
                raise DataError(f"Gram matrices of {len(total)} and of {len(matrix)} numbers do not add up.")
            total = matrix if total is None else total + matrix
        if total is None or not public_size > 0:
            raise DataError("A Gram matrix is of at least one hospital, with a public size above 0. Ask for one first.")
        return cls(total, float(public_size))

    def preconditioner(self, ridge: float) -> np.ndarray:
        """What a mean gradient is multiplied by, so that a step goes as far in faint directions as in strong ones.

        It is (N / D) (G + ridge I)^-1, with N the public size and G the matrix, whose eigenvalues below 0 are noise
        and count as 0.

        Args:
            ridge: Added to every eigenvalue, above 0: where these are noise, a step stays short.

        Returns:
            float64, (D, D), symmetric.
        """
        values, directions = np.linalg.eigh(self.matrix)
        factors = self.public_size / len(self.matrix) / (np.maximum(values, 0.0) + ridge)
        return np.asarray((directions * factors) @ directions.T)


def released_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of what a hospital released, as its bytes left: the one that its receipt of the request names.

    Args:
        arrays: `squares`, (D,), and `products`, (D (D - 1) / 2,), float32.
    """
    return hashlib.sha256(canonical_bytes(arrays)).hexdigest()


def _matrix(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    if set(arrays) != {"squares", "products"}:
        raise DataError(f"A Gram matrix comes as squares and products, got {', '.join(sorted(arrays))}.")
    squares, products = (np.asarray(arrays[name], dtype=np.float64) for name in ("squares", "products"))
    size = squares.size
    if squares.ndim != 1 or products.shape != (size * (size - 1) // 2,):
        raise DataError(f"To {size} squares of a Gram matrix belong {size * (size - 1) // 2} products.")
    if not (np.isfinite(squares).all() and np.isfinite(products).all()):
        raise DataError("A Gram matrix has a number that is not finite. Ask for it again.")
    matrix = np.diag(squares)
    matrix[np.triu_indices(size, 1)] = products
    return np.asarray(np.triu(matrix, 1).T + matrix)
