"""The page about a dataset, with samples of its pictures beside its mock: one private file, for the hospital's people.

It is written into the state folder and served by nothing.
"""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from datasites.assets.mock import make_mock
from datasites.assets.store import PictureStore
from datasites.datasets.samples.sheets import sheet
from datasites.datasets.summary import DatasetSummary
from datasites.files.private_file import write_private
from policies.untrusted_text import shown

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
        own=_inline(sheet(store.images)),
        mock=_inline(sheet(mock.images)),
    )
    write_private(file, page)


def _inline(picture: bytes) -> _Base64:
    return _Base64(base64.b64encode(picture).decode("ascii"))
