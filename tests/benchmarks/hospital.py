"""How fast pictures come in, beside a bare loop of the same decoder, and how much memory that takes; into out/bench.

    python tests/benchmarks/hospital.py --jpegs 2000 --dicoms 500

The floor is as many processes of `bare_decoding.py`: the same decoder, the same files, the same form, and nothing is
kept. Floor and ingest are measured in turns, each in processes of its own, so that other work on the machine slows both
alike. Files were just drawn, so that no disk is read. Pictures are brought to 224 x 224, as hospitals' are.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from datasites.assets.store import open_store  # noqa: E402
from datasites.ingestion.ingest import Asked, ingest  # noqa: E402
from datasites.ingestion.reader_processes import ReaderProcesses  # noqa: E402
from datasites.ingestion.reasons import ACCEPTABLE  # noqa: E402
from datasites.sources.dataset_settings import DatasetSettings  # noqa: E402
from datasites.sources.read_listing import list_pictures  # noqa: E402

FEW = 2000
STORES = (1_000, 100_000)
BATCH = 64
OPENINGS = 41
JPEG_SIDE, DICOM_SIDE = 256, 512
KEPT_SIDE = 224
CHANNELS = {"jpeg": 3, "dicom": 1}
BARE = Path(__file__).with_name("bare_decoding.py")
TIMES = ("seconds", "processor_seconds")
Row = dict[str, Any]


def main() -> None:
    """Measures all rows, or one as a process of this program is asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jpegs", type=int, default=20_000, help="of 256 x 256 pixels")
    parser.add_argument("--dicoms", type=int, default=5_000, help="of 512 x 512 pixels, 12 bits")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--turns", type=int, default=2, help="of the floor and an ingest, one after the other")
    parser.add_argument("--out", type=Path, default=PROJECT / "out" / "bench")
    parser.add_argument("--one", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps({"ingest": _ingest, "floor": _floor}[options.one[0]](*options.one[1:])))
        return
    rows: list[Row] = []
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out) as folder:
        for row in _rows(Path(folder), options):
            print(json.dumps(row), flush=True)
            rows.append(row)
            (options.out / "hospital.json").write_text(json.dumps(rows, indent=2) + "\n")


def _rows(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    few = min(FEW, options.jpegs)
    for kind, draw, counts in (
        ("jpeg", draw_jpegs, (few, options.jpegs)),
        ("dicom", draw_dicoms, (options.dicoms,)),
    ):
        for count in sorted({count for count in counts if count}):
            files = folder / f"{kind}_{count}"
            draw(files, count)
            yield from _in_turns(kind, files, count, options)
            shutil.rmtree(files)
    yield from _openings(folder)
    from console_pages import page_rows  # late: what it imports is no part of an ingest's memory

    yield from page_rows()


def _in_turns(kind: str, files: Path, count: int, options: argparse.Namespace) -> Iterator[Row]:
    """Rows of the floor and of the way in, the latter with its share of the floor's pace."""
    taken: dict[str, list[Row]] = {"floor": [], "ingest": []}
    for _ in range(options.turns):
        for way, found in taken.items():
            found.append(_in_a_process(way, kind, str(files), str(options.processes)))
    clock, processor = ({way: sum(one[name] for one in found) for way, found in taken.items()} for name in TIMES)
    for way, found in taken.items():
        each = {name: round(sum(one[name] for one in found) / options.turns, 2) for name in found[0]}
        row = {"what": f"{way}_{kind}", "pictures": count, "processes": options.processes, "turns": options.turns}
        row["pictures_per_second"] = round(options.turns * count / clock[way], 1)
        row |= each | {"peak_rss_mb": max(one["peak_rss_mb"] for one in found)}
        if way == "ingest":
            row["of_floor"] = round(clock["floor"] / clock["ingest"], 3)
            row["of_floor_by_processor"] = round(processor["floor"] / processor["ingest"], 3)
        yield row


def _in_a_process(*arguments: str) -> Any:
    command = [sys.executable, __file__, "--one", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def _ingest(kind: str, files: str, processes: str) -> Row:
    settings = DatasetSettings(data_path=files, size=(KEPT_SIDE, KEPT_SIDE), channels=CHANNELS[kind])
    began = _times()
    listing = list_pictures(settings)
    listed = _times()
    with tempfile.TemporaryDirectory(dir=Path(files).parent) as state:
        asked = Asked(settings, bytes(32), Path(state) / "ingest-report.csv", accepted=frozenset(ACCEPTABLE))
        ingest(listing, Path(state) / "store" / "pictures", asked, partial(ReaderProcesses, int(processes)))
        done = _times()
    listing_times = {f"listing_{name}": listed[name] - began[name] for name in TIMES}
    return _told(listed, done, int(processes)) | listing_times


def _floor(kind: str, files: str, processes: str) -> Row:
    began = _times()
    command = [sys.executable, str(BARE), files, str(KEPT_SIDE), str(CHANNELS[kind]), processes]
    running = [subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE) for number in range(int(processes))]
    for one in running:
        one.communicate()
        assert one.returncode == 0
    return _told(began, _times(), int(processes))


def _times() -> dict[str, float]:
    """The clock, and the processor time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return dict(zip(TIMES, (time.monotonic(), sum(one.ru_utime + one.ru_stime for one in used)), strict=True))


def _told(began: dict[str, float], done: dict[str, float], processes: int) -> Row:
    """Memory is that of this process and of as many of its largest child as there were, in MB of a million bytes."""
    own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    peak = round((own + processes * child) * 1024 / 1e6, 1)
    return {name: done[name] - began[name] for name in TIMES} | {"peak_rss_mb": peak}


def _openings(folder: Path) -> Iterator[Row]:
    """Median time to open each store and to read a first batch of a private step from it, the stores in turn."""
    for count in STORES:
        _keep(folder / f"store_{count}", count)
    taken: dict[int, list[tuple[float, float]]] = {count: [] for count in STORES}
    for _ in range(OPENINGS):
        for count in STORES:
            taken[count].append(_opened(folder / f"store_{count}"))
    least = statistics.median(sum(times) for times in taken[STORES[0]])
    for count, times in taken.items():
        opening, reading = (1000 * statistics.median(part) for part in zip(*times, strict=True))
        row = {
            "what": "open_store",
            "pictures": count,
            "open_ms": round(opening, 3),
            "first_batch_ms": round(reading, 3),
        }
        ratio = statistics.median(sum(both) for both in times) / least
        yield row | {f"ratio_to_{STORES[0]}_pictures": round(ratio, 2)}


def _keep(folder: Path, count: int) -> None:
    from support.array_store import ingest as keep
    from support.array_store import listing_of

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 1), dtype=np.uint8)
    patients = [str(number) for number in rng.integers(0, count // 2, count)]
    keep(listing_of(images, np.arange(count) % 2, ("a", "b"), patients), folder, name="pictures", unit="patient")


def _opened(folder: Path) -> tuple[float, float]:
    """Seconds to open a store, and from there to the first batch."""
    from datasites.training.pictures.data import LabelledPictures, to_tensor
    from datasites.training.pictures.sampler import poisson_steps
    from datasites.training.pictures.unit_index import UnitIndex
    from datasites.training.randomness.randomness import SecureRandom

    begun = time.perf_counter()
    store = open_store(folder)
    opened = time.perf_counter()
    index = UnitIndex(store.by_unit, store.unit_starts)
    pictures = LabelledPictures(store.images, store.labels, store.units, store.manifest.public_size, unit_index=index)
    rate = BATCH / store.manifest.num_units
    batches = poisson_steps(pictures.units, sample_rate=rate, steps=1, random=SecureRandom(), index=index)
    to_tensor(pictures.images[next(batches)[:, 0]])
    return opened - begun, time.perf_counter() - opened


# --- drawn files ---


def draw_jpegs(folder: Path, count: int) -> None:
    """Colour pictures of smooth blobs with grain, in two class folders."""
    from PIL import Image

    rng = np.random.default_rng(0)
    blobs = np.kron(rng.integers(30, 226, (40, 40, 3)), np.ones((16, 16, 1))).astype(np.int16)
    for number, file in enumerate(_files(folder, count, "jpg")):
        top, left = rng.integers(0, len(blobs) - JPEG_SIDE, 2)
        grain = rng.integers(-6, 7, (JPEG_SIDE, JPEG_SIDE, 1), dtype=np.int16)
        pixels = blobs[top : top + JPEG_SIDE, left : left + JPEG_SIDE] + grain + number % 5
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, quality=85)


def draw_dicoms(folder: Path, count: int) -> None:
    """Grey pictures of 12 bits in 16, as a detector gives them, uncompressed, in two class folders."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    rng = np.random.default_rng(0)
    blobs = np.kron(rng.integers(200, 3800, (40, 40)), np.ones((32, 32))).astype(np.int16)
    for number, file in enumerate(_files(folder, count, "dcm")):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset = FileDataset(str(file), {}, file_meta=meta, preamble=bytes(128))
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        dataset.PatientID, dataset.StudyInstanceUID, dataset.Modality = str(number), generate_uid(), "CT"
        dataset.Rows = dataset.Columns = DICOM_SIDE
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1
        dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
        top, left = rng.integers(0, len(blobs) - DICOM_SIDE, 2)
        grain = rng.integers(-40, 41, (DICOM_SIDE, DICOM_SIDE), dtype=np.int16)
        pixels = blobs[top : top + DICOM_SIDE, left : left + DICOM_SIDE] + grain
        dataset.PixelData = pixels.clip(0, 4095).astype("<u2").tobytes()
        dataset.save_as(file, enforce_file_format=True)


def _files(folder: Path, count: int, suffix: str) -> Iterator[Path]:
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    return (folder / "ab"[number % 2] / f"{number:06}.{suffix}" for number in range(count))


if __name__ == "__main__":
    main()
