"""Why a function of torch has no rule in a graph, and what to use in its place."""

from __future__ import annotations

_UNFILLED = (
    "it makes a value that something else fills. Where that is a random number, as of dropped paths, take it out"
)
_FOURIER = "it has no rule. Use torch.fft.fft, rfft or their inverses along an axis of a picture"
_SORTED = "it has no rule. Use sort, topk, median or quantile"
_PLACES = "how much it gives depends on the numbers in a picture. Choose with torch.where, or weigh"
_MATRICES = (
    "it takes matrices apart, which has no rule. Use products of matrices or a norm; small ones "
    "may have torch.linalg.inv, solve and cholesky"
)
_ORTHOGONAL = (
    "it makes a weight orthogonal, which has no rule. Use parametrizations.orthogonal(..., orthogonal_map='cayley')"
)
ADVICE: dict[str, str] = {
    "batch_norm": "it mixes the pictures of a batch. Use GroupNorm",
    "copy": "it writes into a part of a value. Put the parts together with torch.cat, or use torch.where with a mask",
    "empty": _UNFILLED,
    "new_empty": _UNFILLED,
    "empty_like": _UNFILLED,
    **dict.fromkeys(("nanquantile", "nanmedian", "mode", "histc"), _SORTED),
    "msort": "it orders the pictures. Use torch.sort with dim=1",
    "searchsorted": "it has no rule. Use torch.bucketize, with bounds that are the same for all",
    **dict.fromkeys(("masked_select", "nonzero", "masked_scatter", "_unique2", "unique_dim"), _PLACES),
    **dict.fromkeys(
        (
            *(
                "linalg_inv_ex",
                "linalg_cholesky_ex",
                "linalg_solve_ex",
                "cholesky_solve",
                "cholesky_inverse",
                "lu_solve",
            ),
            *("linalg_svdvals", "linalg_svd", "svd", "linalg_qr", "qr", "linalg_eigh", "linalg_eigvalsh", "linalg_eig"),
            *(
                "linalg_eigvals",
                "linalg_lu",
                "linalg_lu_factor",
                "linalg_lstsq",
                "linalg_pinv",
                "pinverse",
                "linalg_matrix_rank",
                "linalg_matrix_norm",
                "linalg_cond",
                "geqrf",
                "ormqr",
            ),
        ),
        _MATRICES,
    ),
    **dict.fromkeys(("linalg_householder_product", "linalg_matrix_exp", "matrix_exp"), _ORTHOGONAL),
    "arange": (
        "it numbers the pictures of a batch, by which each could be picked. Pick with torch.gather along an axis of a "
        "picture, where no picture needs a number; of boxes, as of roi_align, cut the maps with slices and pool them, "
        "or sample them with F.grid_sample"
    ),
    **dict.fromkeys(("stft", "istft", "fft_hfft", "fft_ihfft"), _FOURIER),
}
"""By the names of torch's operators; whatever is not here and has no translation is refused as one without a rule."""
