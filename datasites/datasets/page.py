"""The page about a dataset, with samples of its pictures beside its mock: one private file, for the hospital's people.

It is written into the state folder and served by nothing.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from datasites.assets.mock import make_mock
from datasites.assets.store import PictureStore
from datasites.datasets.summary import DatasetSummary
from datasites.files.private_file import write_private
from policies.untrusted_text import shown

SAMPLES, COLUMNS = 24, 6
CELL = 160  # most pixels of a sample's side
_HERE = Path(__file__).parent


class _Base64(str):
    """A picture's bytes, as long as they are; nothing that somebody wrote."""


def _finalize(value: object) -> str:
    """What every value on the page passes through, before it is escaped for HTML."""
    return value if isinstance(value, _Base64) else shown(value, most=4000)


_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE),
    autoescape=True,
    finalize=_finalize,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_page(dataset: DatasetSummary, store: PictureStore, file: Path) -> None:
    """Writes the page, mode 0600.

    Args:
        dataset: What it tells.
        store: The newest version, whose first rows are shown; rows are in a random order.
        file: Where it goes.
    """
    mock = make_mock(dataset.schema)
    page = _TEMPLATES.get_template("page.html.jinja").render(
        dataset=dataset,
        own=_sheet(store.images[:SAMPLES]),
        mock=_sheet(mock.images[:SAMPLES]),
    )
    write_private(file, page)


def _sheet(images: NDArray[np.uint8] | NDArray[np.uint16]) -> _Base64:
    """Samples side by side, as PNG in base 64."""
    height, width = images.shape[1:3]
    scale = min(1.0, CELL / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    rows = -(-len(images) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (size[0] + 2), rows * (size[1] + 2)), "white")
    for index, image in enumerate(images):
        down, across = divmod(index, COLUMNS)
        sheet.paste(_picture(image).resize(size, Image.Resampling.BOX), (across * (size[0] + 2), down * (size[1] + 2)))
    written = io.BytesIO()
    sheet.save(written, "PNG")
    return _Base64(base64.b64encode(written.getvalue()).decode("ascii"))


def _picture(image: NDArray[np.uint8] | NDArray[np.uint16]) -> Image.Image:
    eight = (image >> 8).astype(np.uint8) if image.dtype == np.uint16 else np.asarray(image)
    return Image.fromarray(eight[..., :3] if eight.shape[2] >= 3 else eight[..., 0]).convert("RGB")
