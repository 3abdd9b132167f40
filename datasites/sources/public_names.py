"""Names of a listing that researchers will see, told to the hospital before they do."""

from __future__ import annotations

from collections.abc import Iterator

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import Listing

_MOST_NAMED = 60


def counts_by_class(listing: Listing) -> dict[str, int]:
    """Pictures of each class or, of several findings, with each finding. Private, but for the names."""
    counts = dict.fromkeys(listing.class_names, 0)
    for one in listing.pictures:
        if listing.label_kind == "single":
            counts[listing.class_names[one.labels[0]]] += 1
        else:
            for name, label in zip(listing.class_names, one.labels, strict=True):
                counts[name] += label == 1
    return counts


def public_names(listing: Listing, settings: DatasetSettings) -> Iterator[str]:
    """Lines that tell which names and texts become public, with the number of pictures behind each, which does not."""
    yield f"Researchers will see the dataset's name, {settings.name}, and these {len(listing.class_names)} class names:"
    counts = list(counts_by_class(listing).items())
    for name, count in counts[:_MOST_NAMED]:
        yield f"  {name} ({count:,} pictures; the number stays here)"
    if len(counts) > _MOST_NAMED:
        yield f"  and {len(counts) - _MOST_NAMED} more"
    if settings.terms_of_use:
        yield f"They will see these terms of use: {settings.terms_of_use}"
