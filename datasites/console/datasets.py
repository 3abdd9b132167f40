"""Routes about datasets as their hospital sees them: how many of what, in which versions. They stay in the hospital."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from datasites.assets.dataset_version import versions_of
from datasites.assets.published import PublishedDataset
from datasites.console.console import READS, Console, router_below
from datasites.datasets.summary import DatasetSummary, summarise
from policies.errors import RequestUnknown


def make_routes(console: Console) -> APIRouter:
    """A dataset's classes, sizes and versions."""
    router = router_below()

    @router.get("/datasets/{name}")
    async def dataset(request: Request, name: str) -> JSONResponse:
        return await console.answer(request, READS, lambda who: summary_of(console, name))

    return router


def summary_of(console: Console, name: str) -> DatasetSummary:
    """What there is to tell of the dataset with that name, at the version that requests read now.

    Raises:
        RequestUnknown: There is none.
    """
    held, served = console.books.ledger.reservations().values(), published(console, name)
    told = summarise(served.versions, held, console.source.terms_of_use)
    return replace(told, after_start=after_start(console, name))


def after_start(console: Console, name: str) -> int | None:
    """The dataset's newer version on the disk, which requests read after the datasite's next start; None without one.

    Raises:
        RequestUnknown: There is no such dataset.
    """
    served = published(console, name)
    newest = max((one.number for one in versions_of(served.store.parent, name)), default=0)
    return newest if newest > served.manifest.dataset_version else None


def published(console: Console, name: str) -> PublishedDataset:
    """The dataset with that name, at its newest version.

    Raises:
        RequestUnknown: There is none.
    """
    found = console.datasets.get(name)
    if found is None:
        raise RequestUnknown(f"There is no dataset {name!r} here.")
    return found
