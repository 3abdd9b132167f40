"""Arrays of a store beside its pixels, made a few rows at a time. Identifiers become pseudonyms here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from datasites.assets.fingerprint import DIGEST_BYTES, RowsDigest
from datasites.ingestion import pseudonyms
from datasites.ingestion.random_order import random_order
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import ListedPicture, Listing
from policies.plans.tokeniser import TextForm, tokens

_BLOCK = 512  # rows in memory at a time


@dataclass(frozen=True, eq=False, repr=False)
class StoreRows:
    """The rows of a new store.

    Attributes:
        listing: What the source says.
        order: int64, (M,): which picture of the listing each row is.
        units: int64, (M,): the privacy unit of each row.
        sources: uint8, (M, 32), digests of what the rows were read from.
        pixels: uint8, (M, 32), digests of their pixels.
        settings: The dataset's.
        secret: The datasite's own.
    """

    listing: Listing
    order: NDArray[np.int64]
    units: NDArray[np.int64]
    sources: NDArray[np.uint8]
    pixels: NDArray[np.uint8]
    settings: DatasetSettings
    secret: bytes

    @property
    def num_units(self) -> int:
        """How many units there are."""
        return int(self.units.max()) + 1

    def pictures(self, part: slice) -> list[ListedPicture]:
        """What the source says of some rows."""
        return [self.listing.pictures[index] for index in self.order[part].tolist()]


@dataclass(frozen=True, eq=False, repr=False)
class RowArray:
    """One array, made a few rows at a time.

    Attributes:
        shape: Of all of it.
        rows: Makes some of its rows, little-endian.
    """

    shape: tuple[int, ...]
    rows: Callable[[slice], NDArray[Any]]

    def blocks(self) -> Iterator[NDArray[Any]]:
        """All rows in order, of the shape (n, ...), n at most `_BLOCK`."""
        return (self.rows(slice(start, start + _BLOCK)) for start in range(0, self.shape[0], _BLOCK))

    def write(self, file: BinaryIO, digest: RowsDigest) -> None:
        """Writes it as .npy and adds it to the digest."""
        dtype = np.lib.format.dtype_to_descr(self.rows(slice(0, 1)).dtype)
        np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": self.shape})
        for block in self.blocks():
            digest.add(block)
            file.write(block.tobytes())


def row_arrays(rows: StoreRows) -> Mapping[str, RowArray]:
    """The arrays by name, in the order of `datasites.assets.store.ROWS`; what the source does not say is left out."""
    count, text, secret = len(rows.order), rows.settings.text, rows.secret
    single, classes = rows.listing.label_kind == "single", len(rows.listing.class_names)
    found = {
        "labels": RowArray(
            (count,) if single else (count, classes), lambda part: labels_of(rows.pictures(part), single)
        ),
        "units": RowArray((count,), lambda part: rows.units[part].astype("<i8")),
    }
    if text is not None:
        found["texts"] = RowArray((count, text.length), lambda part: texts_of(rows.pictures(part), text))
    found["sources"] = RowArray(
        (count, DIGEST_BYTES),
        lambda part: _bytes(pseudonyms.of_source(secret, one.tobytes()) for one in rows.sources[part]),
    )
    if all(listed.patient for listed in rows.listing.pictures):
        of_unit = np.empty(rows.num_units, dtype=np.int64)
        of_unit[rows.units] = rows.order
        found["patients"] = RowArray((rows.num_units, DIGEST_BYTES), lambda part: _patients(rows, of_unit[part]))
    by_unit = np.argsort(rows.units, kind="stable").astype("<i8")
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows.units))]).astype("<i8")
    found["by_unit"] = RowArray((count,), lambda part: by_unit[part])
    found["unit_starts"] = RowArray(starts.shape, lambda part: starts[part])
    return found


def labels_of(pictures: Sequence[ListedPicture], single: bool) -> NDArray[Any]:
    """int64, (N,), or for several labels a picture int8, (N, K)."""
    labels = np.array([listed.labels for listed in pictures])
    return labels[:, 0].astype("<i8") if single else labels.astype("i1")


def texts_of(pictures: Sequence[ListedPicture], form: TextForm) -> NDArray[np.int32]:
    """int32, (N, length): the reports' words. What was written itself is not kept."""
    return tokens([listed.report or "" for listed in pictures], form).astype("<i4")


def units_of(listing: Listing, order: NDArray[np.int64], unit: str) -> NDArray[np.int64]:
    """The unit of each row. Numbered afresh, since the source's own order could tell who is who.

    Args:
        listing: What the source says; with unit `patient` it names each picture's.
        order: int64, (M,): which picture of the listing each row is.
        unit: `picture` or `patient`.
    """
    if unit == "picture":
        return np.arange(len(order), dtype=np.int64)
    patients = [listing.pictures[index].patient for index in order.tolist()]
    number = {patient: index for index, patient in enumerate(dict.fromkeys(patients))}
    fresh = random_order(len(number))
    return fresh[[number[patient] for patient in patients]]


def _patients(rows: StoreRows, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    named = (rows.listing.pictures[index].patient for index in indices.tolist())
    return _bytes(pseudonyms.of_patient(rows.secret, patient or "") for patient in named)


def _bytes(digests: Iterator[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, DIGEST_BYTES)
