"""Book-keeping DP-SGD: clipped sums of per-picture gradients at nearly the price of plain training."""

from datasites.training.book_keeping.engine import BookKeeping

__all__ = ["BookKeeping"]
