"""Why a function of torch has no rule in a graph, and what to use in its place."""

from __future__ import annotations

_UNFILLED = (
    "it makes a value that something else fills. Where that is a random number, as of dropped paths, take it out"
)
_FOURIER = "it computes with complex numbers, which no graph has. Multiply by constant tables of cosines and sines"
_OWN_PLACES = "it moves each picture's pixels by numbers of its own. Leave it out"
_SORTED = "it has no rule. Use sort, topk, median or quantile"
_PLACES = "how much it gives depends on the numbers in a picture. Choose with torch.where, or weigh"
_ARCS = "angles have no rule. Use tanh or sigmoid, or the sine and cosine that the angle is computed from"
_MATRICES = "it takes matrices apart, which has no rule. Use products of matrices, or a norm"
_STEPS = "it tells numbers apart in steps, which have no gradient. Compare with a number, or use clamp or sigmoid"
ADVICE: dict[str, str] = {
    "batch_norm": "it mixes the pictures of a batch. Use GroupNorm",
    "conv3d": "it has no rule: a picture has no depth. Use Conv2d",
    "conv_transpose3d": "it has no rule: a picture has no depth. Use ConvTranspose2d",
    "copy": "it writes into a part of a value. Put the parts together with torch.cat, or use torch.where with a mask",
    "empty": _UNFILLED,
    "new_empty": _UNFILLED,
    "empty_like": _UNFILLED,
    **dict.fromkeys(("round", "floor", "ceil", "trunc", "frac", "fix", "floor_divide"), _STEPS),
    **dict.fromkeys(("remainder", "fmod"), _STEPS),
    **dict.fromkeys(("nanquantile", "nanmedian", "mode", "histc"), _SORTED),
    "msort": "it orders the pictures. Use torch.sort with dim=1",
    "searchsorted": "it has no rule. Use torch.bucketize, with bounds that are the same for all",
    **dict.fromkeys(("masked_select", "nonzero", "masked_scatter", "_unique2", "unique_dim"), _PLACES),
    **dict.fromkeys(("atan", "atan2", "asin", "acos", "arctan", "arctan2", "arcsin", "arccos", "angle"), _ARCS),
    **dict.fromkeys(
        ("linalg_det", "linalg_inv", "linalg_inv_ex", "linalg_svdvals", "linalg_svd", "linalg_qr"), _MATRICES
    ),
    **dict.fromkeys(("linalg_eigh", "linalg_eigvalsh", "linalg_cholesky", "linalg_solve", "inverse", "det"), _MATRICES),
    **dict.fromkeys(("complex", "view_as_real", "real", "imag", "is_complex"), _FOURIER),
    "cummax": "it has no rule. Use cumsum, or the largest number",
    "cummin": "it has no rule. Use cumsum, or the smallest number",
    "logcumsumexp": "it has no rule. Use cumsum of exponentials, or log_softmax",
    "view_as_complex": _FOURIER,
    "polar": _FOURIER,
    **dict.fromkeys(("fft_fft", "fft_fft2", "fft_rfft", "fft_rfft2", "fft_fftn", "fft_rfftn", "fft_ifft2"), _FOURIER),
    **dict.fromkeys(("grid_sampler", "affine_grid_generator", "deform_conv2d"), _OWN_PLACES),
}
"""By the names of torch's operators; whatever is not here and has no translation is refused as one without a rule."""
