"""Why a function of torch has no rule in a graph, and what to use in its place."""

from __future__ import annotations

_UNFILLED = (
    "it makes a value that something else fills. Where that is a random number, as of dropped paths, take it out"
)
_STEPS = "it tells numbers apart in steps, which have no gradient. Use relu, clamp, maximum or sigmoid"
ADVICE: dict[str, str] = {
    "batch_norm": "it mixes the pictures of a batch. Use GroupNorm",
    "lstm": "its steps are hidden in one function. Use convolutions or attention over the positions",
    "gru": "its steps are hidden in one function. Use convolutions or attention over the positions",
    "sort": "what is sorted has no rule. Use the largest number, or attention",
    "topk": "what is sorted has no rule. Use the largest number, or attention",
    "median": "what is sorted has no rule. Use the largest number, or attention",
    "kthvalue": "what is sorted has no rule. Use the largest number, or attention",
    "conv3d": "it has no rule: a picture has no depth. Use Conv2d",
    "conv_transpose1d": "it has no rule. Use ConvTranspose2d on maps of one row, or resizing and a convolution",
    "conv_transpose3d": "it has no rule: a picture has no depth. Use ConvTranspose2d",
    "col2im": "it adds up windows that overlap. Use pixel_shuffle, or reshape and permute, where they do not",
    "copy": "it writes into a part of a value. Put the parts together with torch.cat, or use torch.where with a mask",
    "index_put": "it writes into a part of a value. Put the parts together with torch.cat",
    "gather": "it picks other places for each picture. Pick by an index that is the same for all, or multiply",
    "empty": _UNFILLED,
    "new_empty": _UNFILLED,
    "empty_like": _UNFILLED,
    **dict.fromkeys(("gt", "ge", "lt", "le", "eq", "ne", "sign", "argmax", "argmin", "round", "floor", "ceil"), _STEPS),
    "upsample_bicubic2d": "only nearest and bilinear resizing have rules. Use one of them",
    "_upsample_bilinear2d_aa": "only nearest and bilinear resizing have rules. Leave antialias out",
    "grid_sampler": "it moves each picture's pixels by numbers of its own. Leave it out",
    "affine_grid_generator": "it moves each picture's pixels by numbers of its own. Leave it out",
}
"""By the names of torch's operators; whatever is not here and has no translation is refused as one without a rule."""
