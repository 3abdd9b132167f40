"""The way in: pictures of a listing become a store, whole or not at all. No file name, identifier or report is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from datasites.assets.fingerprint import DIGEST_BYTES
from datasites.assets.store import MANIFEST, StoreManifest, read_store
from datasites.files.private_folder import only_writer
from datasites.ingestion import findings, reasons
from datasites.ingestion.ingest_report import LEFT_OUT, NONE, STOPS, IngestReport, ReportLine
from datasites.ingestion.ingested_before import check_same
from datasites.ingestion.listing_checks import check_listing, check_units, form_of
from datasites.ingestion.picture_reading import Reading, Target, Task
from datasites.ingestion.row_arrays import StoreRows, units_of
from datasites.ingestion.store_writing import publish
from datasites.ingestion.work_folder import WorkFolder
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import Listing, classes_said
from policies.errors import DataError
from policies.plans.picture_form import PictureForm

_FLUSHED_PICTURES = 64
DISK = "The store cannot be written. Check the state folder's rights and the free disk space, then start again."


class Reader(Protocol):
    """What reads pictures: `ReaderProcesses`."""

    def __call__(self, tasks: Sequence[Task], target: Target) -> Iterator[Reading]:
        """Yields what became of each task."""


@dataclass(frozen=True)
class Asked:
    """What is asked of an ingest besides the pictures.

    Attributes:
        settings: The dataset's settings.
        secret: The datasite's own, for pseudonyms.
        report: Where the report goes.
        min_public_size: The fewest units that are published at all.
        accepted: Codes of `reasons.ACCEPTABLE` whose pictures are taken all the same.
        hold_out: The pictures that models are measured on, where they are named.
        known: The labels of pictures that the dataset has already, by the digest of their pixels.
        tell: Told a line for the hospital's terminal.
        watch: Told (pictures done, pictures in all).
    """

    settings: DatasetSettings
    secret: bytes
    report: Path
    min_public_size: int = 50
    accepted: frozenset[str] = frozenset()
    hold_out: Listing | None = None
    known: Mapping[bytes, tuple[int, ...]] = field(default_factory=dict)
    tell: Callable[[str], None] = lambda line: None
    watch: Callable[[int, int], None] = lambda done, total: None


def ingest(listing: Listing, folder: Path, asked: Asked, reader: Callable[[Path], Reader]) -> StoreManifest:
    """Writes pictures into a new store, or finds them already there.

    The store appears whole or not at all. Rows are in a random order, units are random indices: neither file order nor
    patient identifiers are kept. What was read stays in a private folder beside the store until that is published, and
    is not read again; another ingest into the same folder has to wait.

    Args:
        listing: The pictures.
        folder: The store's own folder, which is created; its parent may hold other stores.
        asked: Settings and the rest.
        reader: Makes what reads the pictures, given the file for decoders' words.

    Raises:
        DataError: Too few units, too many pictures that cannot be taken, a class that loses all of them, no patients
            for unit `patient`, no reports where they are to be kept, no room on the disk, or the folder holds
            something else.
        StoreBroken: The folder holds a damaged store.

    Guarantees:
        With unit `patient`, two pictures have the same unit if and only if they have the same patient. The store is
        named by its pictures alone: with and without reports, or with other ones, it shares a privacy ledger.
    """
    form = form_of(listing, asked.settings)
    check_listing(listing, asked.settings)
    check_units(listing, np.arange(len(listing.pictures)), asked.settings, asked.min_public_size)
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with only_writer(folder.parent):
            work = WorkFolder(folder.with_name(f".{folder.name}.reading"), form, listing.pictures)
            if folder.exists():
                work.remove()  # what a kill right after publishing has left
                return _existing(listing, folder, asked, form, reader)
            return _ingested(listing, folder, asked, work, reader(work.log))
    except OSError as error:
        raise DataError(DISK, private=f"{folder}: {error}") from error


def _existing(
    listing: Listing, folder: Path, asked: Asked, form: PictureForm, reader: Callable[[Path], Reader]
) -> StoreManifest:
    if not (folder / MANIFEST).is_file():
        raise DataError(
            "The store's folder must not exist yet, it does and holds no store. Use a new name, or remove it.",
            private=f"Folder: {folder}",
        )
    store = read_store(folder)
    log = folder.with_name(f".{folder.name}.log")
    try:
        check_same(store, listing, asked.settings, form, asked.secret, reader(log))
    finally:
        log.unlink(missing_ok=True)
    asked.tell(f"Dataset '{store.manifest.name}' holds these pictures already; nothing is new.")
    return store.manifest


def _ingested(listing: Listing, folder: Path, asked: Asked, work: WorkFolder, reader: Reader) -> StoreManifest:
    read = _Read(listing)
    with work.opened() as tasks:
        if known := sum(task.known is not None for task in tasks):
            asked.tell(
                f"{known:,} of {len(tasks):,} pictures are here from an earlier try: only what changed is read again."
            )
        for done, reading in enumerate(reader(tasks, work.target), start=1):
            if reading.disk:
                raise DataError(DISK, private=reading.disk)
            read.add(reading)
            if reading.found is not None and not reading.kept:
                work.note(reading.number, reading.found)
            if done % _FLUSHED_PICTURES == 0 or done == len(tasks):
                work.flush()
                asked.watch(done, len(tasks))
    held = (
        {}
        if asked.hold_out is None
        else findings.hold_out_pixels(asked.hold_out, work.form, reader, asked.settings.most_left_out, asked.tell)
    )
    report = _report(listing, read, asked, held)
    _judge(listing, read, report, asked)
    check_units(listing, np.flatnonzero(read.taken), asked.settings, asked.min_public_size)
    order = work.close_gaps(read.taken)
    for line in findings.all_dark(np.load(work.images, mmap_mode="r"), asked.settings):
        asked.tell(line)
    for line in findings.cut_reports(listing, asked.settings):
        asked.tell(line)
    units = units_of(listing, order, asked.settings.unit)
    rows = StoreRows(listing, order, units, read.sources[order], read.pixels[order], asked.settings, asked.secret)
    manifest = publish(rows, folder, work.images, work.form)
    work.remove()
    return manifest


class _Read:
    """What became of all pictures of a listing."""

    def __init__(self, listing: Listing) -> None:
        self._pictures = listing.pictures
        count = len(listing.pictures)
        self.taken, self.empty, self.enlarged = (np.zeros(count, dtype=np.bool_) for _ in range(3))
        self.sources, self.pixels = (np.zeros((count, DIGEST_BYTES), dtype=np.uint8) for _ in range(2))
        self.lines: list[ReportLine] = []

    def add(self, reading: Reading) -> None:
        """Takes one picture's outcome."""
        number, found = reading.number, reading.found
        if found is not None:
            self.taken[number], self.empty[number], self.enlarged[number] = True, found.empty, found.enlarged
            self.sources[number] = np.frombuffer(bytes.fromhex(found.source), dtype=np.uint8)
            self.pixels[number] = np.frombuffer(bytes.fromhex(found.pixels), dtype=np.uint8)
        elif reading.reason is not None:
            outcome = STOPS if reading.reason.code in reasons.STOPPING else LEFT_OUT
            place = self._pictures[number].picture.place
            self.lines.append(ReportLine(place, outcome, reading.reason, reading.private))


def _report(listing: Listing, read: _Read, asked: Asked, held: Collection[bytes]) -> IngestReport:
    """Writes the report and tells its summary."""
    pictures, taken = listing.pictures, np.flatnonzero(read.taken)
    left_out = listing.left_out
    lines = [ReportLine(one.place, LEFT_OUT if one.lost else NONE, one.reason) for one in left_out] + read.lines
    lines += findings.copies(pictures, taken, read.pixels, asked.accepted, asked.known, asked.settings.unit)
    lines += findings.in_hold_out(pictures, taken, read.pixels, held, asked.accepted)
    lines += findings.noted(pictures, np.flatnonzero(read.taken & read.empty), reasons.EMPTY)
    lines += findings.noted(pictures, np.flatnonzero(read.enlarged), reasons.ENLARGED)
    lines += findings.patients_in_two_classes(listing)
    lines += findings.patients_in_two_sites(listing)
    report = IngestReport(lines, len(pictures) + sum(one.lost for one in left_out))
    report.write(asked.report)
    for line in report.summary():
        asked.tell(line)
    if report.lines:
        asked.tell(f"All of them stand in {asked.report}.")
    return report


def _judge(listing: Listing, read: _Read, report: IngestReport, asked: Asked) -> None:
    """Stops where more is wrong than single pictures.

    Raises:
        DataError: With what to do.
    """
    where = f"Look at {asked.report.name} in the state folder, and start again: what was read is kept."
    stopping = f"{len(report.stopping):,} stop it, " if report.stopping else ""
    private = f"{stopping}{report.left_out:,} of {report.total:,} files are not taken."
    if report.stopping:
        codes = ", ".join(sorted({line.reason.code for line in report.stopping}))
        advice = " ".join(dict.fromkeys(line.reason.advice for line in report.stopping))
        raise DataError(f"The dataset '{asked.settings.name}' is not taken: {codes}. {advice} {where}", private=private)
    if report.left_out > asked.settings.most_left_out * report.total:
        raise DataError(
            f"More of the dataset '{asked.settings.name}' cannot be taken than the share of "
            f"{asked.settings.most_left_out:g} that may be left out (most_left_out). {where}",
            private=private,
        )
    before, kind = [listed.labels for listed in listing.pictures], listing.label_kind
    after = (before[row] for row in np.flatnonzero(read.taken))
    if lost := sorted(classes_said(before, kind) - classes_said(after, kind)):
        names = ", ".join(listing.class_names[label] for label in lost)
        raise DataError(f"No picture of a class can be taken: {names}. {where}", private=private)
