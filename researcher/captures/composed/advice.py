"""Why a function of torch has no rule in a graph, and what to use in its place."""

from __future__ import annotations

_UNFILLED = (
    "it makes a value that something else fills. Where that is a random number, as of dropped paths, take it out"
)
_FOURIER = "it computes with complex numbers, which no graph has. Multiply by constant tables of cosines and sines"
_OWN_PLACES = "it moves each picture's pixels by numbers of its own. Leave it out"
_SORTED = "what is sorted has no rule. Use the largest number, or attention"
_STEPS = "it tells numbers apart in steps, which have no gradient. Compare with a number, or use clamp or sigmoid"
ADVICE: dict[str, str] = {
    "batch_norm": "it mixes the pictures of a batch. Use GroupNorm",
    **dict.fromkeys(("sort", "topk", "median", "kthvalue"), _SORTED),
    "conv3d": "it has no rule: a picture has no depth. Use Conv2d",
    "conv_transpose1d": "it has no rule. Use ConvTranspose2d on maps of one row, or resizing and a convolution",
    "conv_transpose3d": "it has no rule: a picture has no depth. Use ConvTranspose2d",
    "copy": "it writes into a part of a value. Put the parts together with torch.cat, or use torch.where with a mask",
    "gather": "it picks other places for each picture. Pick by an index that is the same for all, or multiply",
    "empty": _UNFILLED,
    "new_empty": _UNFILLED,
    "empty_like": _UNFILLED,
    **dict.fromkeys(("argmax", "argmin", "round", "floor", "ceil"), _STEPS),
    "upsample_bicubic2d": "only nearest and bilinear resizing have rules. Use one of them",
    "_upsample_bilinear2d_aa": "only nearest and bilinear resizing have rules. Leave antialias out",
    **dict.fromkeys(("quantile", "nanquantile", "nanmedian", "msort", "argsort"), _SORTED),
    "prod": "a product of many numbers has no rule. Multiply them one by one, or take exp of the sum of logarithms",
    "view_as_complex": _FOURIER,
    "polar": _FOURIER,
    **dict.fromkeys(("fft_fft", "fft_fft2", "fft_rfft", "fft_rfft2", "fft_fftn", "fft_rfftn", "fft_ifft2"), _FOURIER),
    **dict.fromkeys(("grid_sampler", "affine_grid_generator", "deform_conv2d"), _OWN_PLACES),
}
"""By the names of torch's operators; whatever is not here and has no translation is refused as one without a rule."""
