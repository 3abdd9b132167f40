"""The cost of two ways to a layer's norms. The cheaper is taken: a choice of speed, the results are the same.

Per picture, with T positions, d inputs and p outputs at each: writing the gradient out costs T d p, the multiplications
of the weight gradient itself, so that only handling its d p numbers comes on top; the ghost norm costs about
T^2 (d + p) and leaves the weight gradient still to be done.
"""

from __future__ import annotations

# Multiplications that take as long as writing one number, reading it for its norm and again for the sum; measured.
_MULTIPLICATIONS_PER_NUMBER = 40.0
# How much slower the multiplications are when each picture has its own product, not one over the batch; measured.
_SLOWER_APART = 1.6


# How many times the size of its inputs and outputs a layer's written gradients may take.
_MEMORY = 4


def writing_out_is_cheaper(*, product: int, numbers: int, ghost: int, kept: int) -> bool:
    """Whether to hold a layer's per-picture gradients rather than take their ghost norms.

    Args:
        product: Multiplications of the weight gradient, for each picture.
        numbers: Size of the weight.
        ghost: Multiplications of the ghost norm, for each picture.
        kept: Size of the layer's inputs and outputs, for each picture, which the ghost norm has to keep.
    """
    if numbers > _MEMORY * kept:
        return False
    return _SLOWER_APART * product + _MULTIPLICATIONS_PER_NUMBER * numbers < product + ghost
