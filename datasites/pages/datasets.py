"""Pages about datasets: how many of what, in which versions, samples beside the mock, and a look at the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from starlette.responses import Response

from datasites.console.console import CHANGES, DECIDES, READS, Console
from datasites.console.datasets import after_start, published, summary_of
from datasites.datasets.samples.sheet_process import MOCK, OWN, SheetProcess
from datasites.datasets.summary import DatasetSummary
from datasites.pages.frame.views import Answer, Onward, Page, Pages
from datasites.pages.frame.visit import Visit
from datasites.pages.languages.languages import to_translate
from datasites.sources.inspection.latest_look import LatestLook
from policies.errors import RequestUnknown

CARD_WORDS: Mapping[str, str] = {
    "name": to_translate("name"),
    "modality": to_translate("modality"),
    "pictures": to_translate("pictures"),
    "picture form": to_translate("picture form"),
    "labels": to_translate("labels"),
    "privacy unit": to_translate("privacy unit"),
    "public size": to_translate("public size"),
    "reports": to_translate("reports"),
    "terms of use": to_translate("terms of use"),
}
"""What the schema card's lines are called, as `DatasetSummary.card` has them."""


def make_pages_of(console: Console) -> Pages:
    """The pages of a console's datasets and of its source."""
    sheets = SheetProcess()
    return make_pages(
        tuple(console.datasets),
        lambda name: after_start(console, name),
        lambda name: summary_of(console, name),
        lambda name, which: sheets.sheet(which, published(console, name).store),
        LatestLook(console.source),
    )


def make_pages(
    names: Sequence[str],
    newer: Callable[[str], int | None],
    summary: Callable[[str], DatasetSummary],
    sheet: Callable[[str, str], bytes],
    look: LatestLook,
) -> Pages:
    """The datasets, one of them, its samples, and what its source holds.

    Args:
        names: Of the datasets.
        newer: Tells of one which version waits for the datasite's next start.
        summary: Tells of one.
        sheet: Samples of the dataset with that name: its `own` or its `mock`'s, as PNG.
        look: At the source.
    """
    pages = Pages()

    @pages.get("/datasets", READS, place=to_translate("Datasets"))
    def every(visit: Visit) -> Answer:
        return Page("datasets/every.html.jinja", {"newer": {name: newer(name) for name in names}})

    @pages.get("/datasets/{name}", READS)
    def one(visit: Visit) -> Answer:
        values = {"dataset": summary(visit.params["name"]), "card_words": CARD_WORDS}
        return Page("datasets/dataset.html.jinja", {**values, "samples": visit.who.role in DECIDES})

    @pages.get("/datasets/{name}/samples/{which}", DECIDES)
    def samples(visit: Visit) -> Answer:
        if visit.params["which"] not in (OWN, MOCK):
            raise RequestUnknown("There are samples of the dataset's own pictures and of its mock.")
        return Response(sheet(visit.params["name"], visit.params["which"]), media_type="image/png")

    @pages.get("/source", CHANGES, place=to_translate("Pictures on disk"))
    def source(visit: Visit) -> Answer:
        return Page("datasets/source.html.jinja", {"look": look.now})

    @pages.post("/source", CHANGES)
    def begin(visit: Visit) -> Answer:
        look.begin()
        return Onward("/source")

    return pages
