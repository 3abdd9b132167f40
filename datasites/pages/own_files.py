"""The few files that pages load: one style sheet, one script, one sign. They are read once, at the start."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from starlette.responses import Response

from datasites.pages.frame.views import Pages
from datasites.pages.frame.visit import Visit
from policies.errors import RequestUnknown
from policies.web.palette import in_colours

_FOLDER = Path(__file__).parent / "static"
_KINDS = MappingProxyType({".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"})


def make_pages() -> Pages:
    """Hands out the files, to whoever comes: nothing in them is this hospital's."""
    pages = Pages()
    files = {file.name: (_content(file), _KINDS[file.suffix]) for file in sorted(_FOLDER.iterdir())}

    @pages.get("/static/{name}")
    def file(visit: Visit) -> Response:
        if visit.params["name"] not in files:
            raise RequestUnknown("There is no such file.")
        content, kind = files[visit.params["name"]]
        return Response(content, media_type=kind)

    return pages


def _content(file: Path) -> bytes:
    return in_colours(file) if file.suffix == ".css" else file.read_bytes()
