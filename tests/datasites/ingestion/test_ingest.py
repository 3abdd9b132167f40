"""Files become a store through processes of their own; what cannot be taken is named, and never too much of it."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.array_store import SECRET, in_this_process, listing_of
from support.picture_files import pictures_read, raw_listing, write_raw

from datasites.assets.store import PictureStore, open_store
from datasites.files.private_folder import only_writer
from datasites.ingestion import pseudonyms
from datasites.ingestion.ingest import Asked, ingest
from datasites.ingestion.reader_processes import ReaderProcesses
from datasites.picture_files.reasons import UNKNOWN_FORMAT
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import UNKNOWN, LeftOut, Listing
from policies.errors import DataError

SOME = DatasetSettings(most_left_out=0.2)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def bring_in(
    state: Path, listing: Listing, settings: DatasetSettings | None = None, reader: Any = in_this_process, **more: Any
) -> PictureStore:
    asked = Asked(settings or DatasetSettings(), SECRET, state / "ingest-report.csv", **more)
    ingest(listing, state / "store" / "pictures", asked, reader)
    store = open_store(state / "store" / "pictures")
    store.verify()
    return store


def reported(state: Path) -> list[tuple[str, str, str]]:
    """Each line's file, outcome and reason."""
    with (state / "ingest-report.csv").open(encoding="utf-8-sig", newline="") as file:
        return [(row["file"], row["outcome"], row["reason"]) for row in csv.DictReader(file)]


def by_file(store: PictureStore, files: list[Path]) -> dict[str, int]:
    """Each file's label in the store, found by its pixels."""
    row_of = {image.tobytes(): row for row, image in enumerate(store.images)}
    return {file.name: int(store.labels[row_of[file.read_bytes()]]) for file in files}


def turns(files: list[Path]) -> dict[str, int]:
    return {file.name: int(file.stem) % 2 for file in files}


# --- reading ---


def test_processes_of_their_own_read_every_file_into_the_row_of_its_label(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 300)
    watched: list[tuple[int, int]] = []
    store = bring_in(
        state, raw_listing(files), reader=partial(ReaderProcesses, 2), watch=lambda *now: watched.append(now)
    )
    assert by_file(store, files) == turns(files)
    assert [image.tobytes() for image in store.images] != [file.read_bytes() for file in files]
    assert pictures_read(tmp_path / "files") == 300
    assert watched == [(done, 300) for done in (64, 128, 192, 256, 300)]
    assert sorted(path.name for path in (state / "store").iterdir()) == ["pictures"]
    assert {path.stat().st_mode & 0o777 for path in (state / "store" / "pictures").iterdir()} == {0o600}


def test_reading_processes_import_no_torch_no_pysyft_and_no_store() -> None:
    program = (
        "import sys, datasites.ingestion.reader_process, datasites.picture_files.decode;"
        "print(sorted({'torch', 'syft', 'pandas', 'datasites.assets.store', 'datasites.state'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


MEMORY = """
import resource, sys
from functools import partial
from pathlib import Path
from support.array_store import SECRET
from support.picture_files import raw_listing
from datasites.ingestion.ingest import Asked, ingest
from datasites.ingestion.reader_processes import ReaderProcesses
from datasites.sources.dataset_settings import DatasetSettings
files, state = sorted(Path(sys.argv[1]).glob("*.raw"))[: int(sys.argv[3])], Path(sys.argv[2])
asked = Asked(DatasetSettings(size=(512, 512)), SECRET, state / "report.csv")
ingest(raw_listing(files), state / sys.argv[3], asked, partial(ReaderProcesses, 1))
print(sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024)
"""


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path, state: Path) -> None:
    write_raw(tmp_path / "files", 400)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    peaks = []
    for count in ("60", "400"):  # 16 MB and 105 MB of pixels
        command = [sys.executable, "-c", MEMORY, str(tmp_path / "files"), str(state), count]
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        peaks.append(int(ran.stdout))
    assert peaks[1] - peaks[0] < 20, peaks


# --- killed, full, and again ---


@pytest.mark.parametrize("readers", [in_this_process, partial(ReaderProcesses, 2)], ids=["here", "processes"])
def test_after_a_kill_only_what_was_not_kept_or_has_changed_is_read_again(
    tmp_path: Path, state: Path, readers: Any
) -> None:
    files = write_raw(tmp_path / "files", 200)

    def die(done: int, total: int) -> None:
        if done == 128:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            bring_in(state, raw_listing(files), reader=readers, watch=die)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not (state / "store" / "pictures").exists()
    work = state / "store" / ".pictures.reading"
    assert work.stat().st_mode & 0o777 == 0o700
    noted = work / "journal.jsonl"
    known = len(noted.read_bytes().splitlines()) - 1
    assert known >= 128
    noted.write_bytes(noted.read_bytes()[:-7])  # the kill came while the last line was written
    files[0].write_bytes(files[0].read_bytes()[::-1])
    images = np.memmap(work / "images.npy", mode="r+")
    images[192 + 16 * 40 : 192 + 16 * 43] = 0  # three rows that a crash of the machine has lost
    images.flush()
    pictures_read(tmp_path / "files")
    told: list[str] = []
    store = bring_in(state, raw_listing(files), reader=readers, tell=told.append)
    again = pictures_read(tmp_path / "files")
    assert told[0] == f"{known - 1} of 200 pictures are here from an earlier try: only what changed is read again."
    assert 200 - known + 1 + 1 <= again <= 200 - known + 1 + 1 + 3
    assert by_file(store, files) == turns(files)
    assert not work.exists()


def test_what_another_form_has_read_is_not_taken(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 60)
    with pytest.raises(KeyboardInterrupt):
        bring_in(state, raw_listing(files), watch=_interrupt_at(60))
    pictures_read(tmp_path / "files")
    store = bring_in(state, raw_listing(files), DatasetSettings(size=(2, 2)))
    assert pictures_read(tmp_path / "files") == 60
    assert store.images.shape == (60, 2, 2, 1)


def test_pictures_that_come_and_go_between_two_tries_cost_no_other_ones(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 80)
    with pytest.raises(KeyboardInterrupt):
        bring_in(state, raw_listing(files[:60]), watch=_interrupt_at(60))
    assert pictures_read(tmp_path / "files") == 60
    store = bring_in(state, raw_listing(files[5:]))
    assert pictures_read(tmp_path / "files") == 20
    assert by_file(store, files[5:]) == {file.name: number % 2 for number, file in enumerate(files[5:])}


def _interrupt_at(last: int) -> Any:
    def watch(done: int, total: int) -> None:
        if done == last:
            raise KeyboardInterrupt

    return watch


def test_a_disk_that_gets_full_in_the_middle_publishes_nothing_and_the_next_try_goes_on(
    tmp_path: Path, state: Path
) -> None:
    files = write_raw(tmp_path / "files", 100)
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this account may not mount a disk")
    try:
        (disk / "filler").write_bytes(bytes(64 << 10))
        settings = DatasetSettings(size=(32, 32))
        with pytest.raises(DataError, match="free disk space"):
            bring_in(disk, raw_listing(files), settings)
        assert not (disk / "store" / "pictures").exists()
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        first = pictures_read(tmp_path / "files")
        store = bring_in(disk, raw_listing(files), settings)
        assert len(store.images) == 100 and 0 < first < 100
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("grants", [True, False], ids=["room", "none"])
def test_the_disks_room_for_all_rows_is_got_before_the_first_is_read_or_else_as_they_come(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch, grants: bool
) -> None:
    files = write_raw(tmp_path / "files", 60)
    if not grants:

        def refused(*asked: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "posix_fallocate", refused)
    held: list[int] = []

    def looking(log: Path) -> Any:
        def read(tasks: Any, target: Any) -> Any:
            found = Path(target.file).stat()
            assert found.st_size == target.at(60)
            held.append(512 * found.st_blocks // target.row_bytes)
            yield from in_this_process(log)(tasks, target)

        return read

    store = bring_in(state, raw_listing(files), DatasetSettings(size=(64, 64)), reader=looking)
    assert len(store.images) == 60
    assert held[0] >= 60 if grants else held[0] < 60


def test_two_ingests_at_once_are_refused_and_the_later_one_works(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 60)
    (state / "store").mkdir()
    with only_writer(state / "store"), pytest.raises(DataError, match="Another ingestion is writing"):
        bring_in(state, raw_listing(files))
    assert len(bring_in(state, raw_listing(files)).images) == 60


# --- left out ---


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"damaged", "damaged"), (b"unforeseen", "decoder_failed"), (b"deadly", "decoder_ended")],
)
def test_a_file_that_cannot_be_read_is_named_and_left_out(
    tmp_path: Path, state: Path, content: bytes, reason: str
) -> None:
    files = write_raw(tmp_path / "files", 100)
    for number in (3, 4, 77):
        files[number].write_bytes(content)
    told: list[str] = []
    store = bring_in(state, raw_listing(files), SOME, partial(ReaderProcesses, 2), tell=told.append)
    assert reported(state) == [(files[number].name, "left out", reason) for number in (3, 4, 77)]
    good = [file for number, file in enumerate(files) if number not in (3, 4, 77)]
    assert by_file(store, good) == turns(good) and len(store.images) == 97
    assert told[0].startswith(f"left out: 3 x {reason} (0003.raw, 0004.raw, 0077.raw). ")
    assert str(state / "ingest-report.csv") in told[1]


def test_more_than_the_share_stops_with_the_table_and_the_next_try_reads_only_what_was_mended(
    tmp_path: Path, state: Path
) -> None:
    files = write_raw(tmp_path / "files", 200)
    whole = files[9].read_bytes()
    for number in (9, 10, 11):
        files[number].write_bytes(b"damaged")
    told: list[str] = []
    with pytest.raises(DataError, match=r"share of 0\.01 that may be left out") as caught:
        bring_in(state, raw_listing(files), tell=told.append)
    assert "0009.raw" in told[0] and "0009" not in caught.value.public + caught.value.private
    assert caught.value.private.endswith("3 of 200 files are not taken.") and reported(state)[0][0] == "0009.raw"
    assert len(reported(state)) == 3 and not (state / "store" / "pictures").exists()
    files[9].write_bytes(whole)
    pictures_read(tmp_path / "files")
    assert len(bring_in(state, raw_listing(files)).images) == 198
    assert pictures_read(tmp_path / "files") == 3


def test_what_the_source_left_out_counts_too(tmp_path: Path, state: Path) -> None:
    listing = raw_listing(write_raw(tmp_path / "files", 97))
    listing = Listing(
        listing.root,
        listing.pictures,
        listing.class_names,
        left_out=[LeftOut(f"{number}.tif", UNKNOWN_FORMAT, lost=number < 3) for number in range(9)],
        own_size=listing.own_size,
        own_channels=1,
    )
    with pytest.raises(DataError, match="may be left out"):
        bring_in(state, listing, DatasetSettings(most_left_out=0.029))
    bring_in(state, listing, DatasetSettings(most_left_out=0.03))
    outcomes = [(f"{number}.tif", "left out" if number < 3 else "no picture") for number in range(9)]
    assert [line[:2] for line in reported(state)] == outcomes


def test_a_class_that_loses_all_its_pictures_stops(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 100)
    files[50].write_bytes(b"damaged")
    labels = [int(number == 50) for number in range(100)]
    with pytest.raises(DataError, match="No picture of a class can be taken: malignant"):
        bring_in(state, raw_listing(files, labels=labels))
    assert not (state / "store" / "pictures").exists()


def test_a_finding_that_loses_all_who_have_it_stops(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 100)
    files[50].write_bytes(b"damaged")
    listing = raw_listing(files)
    for rare, common in ((50, 51), (51, 50)):
        pictures = [
            replace(one, labels=(number % 2, int(number == rare), UNKNOWN if number == common else 0))
            for number, one in enumerate(listing.pictures)
        ]
        findings = replace(listing, pictures=pictures, class_names=("mass", "cyst", "fluid"), label_kind="multi")
        settings = DatasetSettings(label_kind="multi")
        if rare == 50:
            with pytest.raises(DataError, match="No picture of a class can be taken: cyst"):
                bring_in(state, findings, settings)
        else:
            assert len(bring_in(state, findings, settings).images) == 99


@pytest.mark.parametrize(
    ("content", "code", "advice"),
    [(b"doubtful", "bits_in_doubt", "Set bits to"), (b"growing", "changed", "Wait until nothing writes")],
)
def test_what_is_wrong_with_the_folder_or_a_setting_stops_however_few_show_it(
    tmp_path: Path, state: Path, content: bytes, code: str, advice: str
) -> None:
    files = write_raw(tmp_path / "files", 200)
    whole = files[5].read_bytes()
    files[5].write_bytes(content)
    with pytest.raises(DataError, match=f"dataset 'pictures' is not taken: {code}. {advice}"):
        bring_in(state, raw_listing(files))
    assert reported(state) == [("0005.raw", "stops the ingest", code)]
    files[5].write_bytes(whole)
    assert len(bring_in(state, raw_listing(files)).images) == 200


# --- noticed ---


def test_copies_are_told_and_copies_in_two_classes_stop_unless_the_hospital_takes_them(
    tmp_path: Path, state: Path
) -> None:
    files = write_raw(tmp_path / "files", 100)
    files[10].write_bytes(files[0].read_bytes())
    files[11].write_bytes(files[2].read_bytes())
    with pytest.raises(DataError, match="same_picture_in_two_classes"):
        bring_in(state, raw_listing(files))
    with pytest.raises(DataError, match="same_picture_in_two_classes"):
        bring_in(state, raw_listing(files), accepted=frozenset({"in_hold_out"}))
    bring_in(state, raw_listing(files), accepted=frozenset({"same_picture_in_two_classes"}))
    assert reported(state) == [
        ("0010.raw", "taken", "same_picture"),
        ("0011.raw", "taken", "same_picture_in_two_classes"),
    ]


def test_a_copy_is_told_by_whose_it_is_where_patients_count(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 100)
    files[10].write_bytes(files[0].read_bytes())
    files[12].write_bytes(files[2].read_bytes())
    patients = [f"p{number}" for number in range(100)]
    patients[12] = patients[2]
    bring_in(state, raw_listing(files, patients=patients), DatasetSettings(unit="patient"))
    assert sorted(reported(state)) == [
        ("0010.raw", "taken", "same_picture_of_two_patients"),
        ("0012.raw", "taken", "same_picture_of_one_patient"),
    ]
    told = (state / "ingest-report.csv").read_text(encoding="utf-8-sig")
    assert "unit 'picture'" not in told and "one person has two identifiers" in told


def test_pictures_without_anything_on_them_are_told(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 100)
    files[10].write_bytes(bytes(16))
    bring_in(state, raw_listing(files))
    assert reported(state) == [("0010.raw", "taken", "empty")]


def test_pictures_that_are_made_more_than_twice_as_large_are_told(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 60)
    bring_in(state, raw_listing(files), DatasetSettings(name="twice", size=(8, 8)))
    assert reported(state) == []
    shutil.rmtree(state / "store")
    bring_in(state, raw_listing(files), DatasetSettings(size=(8, 9)))
    assert reported(state) == [(file.name, "taken", "enlarged") for file in files]


def test_a_patient_in_two_classes_is_told(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 100)
    patients = [f"patient {number}" for number in range(100)]
    patients[7] = "patient 2"
    bring_in(state, raw_listing(files, patients=patients))
    assert reported(state) == [("0007.raw", "taken", "patient_in_two_classes")]
    assert "patient 2" not in (state / "ingest-report.csv").read_text()


def test_a_picture_of_the_hold_out_is_not_trained_on_unless_the_hospital_takes_it(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 100)
    hold_out = write_raw(tmp_path / "hold_out", 10, seed=1)
    hold_out[3].write_bytes(files[20].read_bytes())
    with pytest.raises(DataError, match="in_hold_out"):
        bring_in(state, raw_listing(files), hold_out=raw_listing(hold_out))
    assert reported(state) == [("0020.raw", "stops the ingest", "in_hold_out")]
    bring_in(state, raw_listing(files), hold_out=raw_listing(hold_out), accepted=frozenset({"in_hold_out"}))


def test_what_of_a_hold_out_cannot_be_read_is_told_and_more_than_a_hundredth_stops(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 100)
    hold_out = write_raw(tmp_path / "hold_out", 100, seed=1)
    hold_out[3].write_bytes(b"damaged")
    told: list[str] = []
    bring_in(state, raw_listing(files), hold_out=raw_listing(hold_out), tell=told.append)
    at = told.index("1 of 100 pictures of the hold-out cannot be read and are not looked for:")
    assert told[at + 1].startswith("  0003.raw: ")
    hold_out[4].write_bytes(b"damaged")
    (tmp_path / "another").mkdir()
    with pytest.raises(DataError, match="More of the hold-out cannot be read") as refused:
        bring_in(tmp_path / "another", raw_listing(files), hold_out=raw_listing(hold_out))
    assert "0003.raw" in refused.value.private and "0003.raw" not in refused.value.public


def test_a_name_that_a_spreadsheet_would_compute_stands_in_the_report_as_text(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 100)
    files[0] = files[0].rename(files[0].with_name("=1+1.raw"))
    files[0].write_bytes(b"damaged")
    bring_in(state, raw_listing(files))
    assert reported(state)[0][0] == "'=1+1.raw"


# --- kept ---


def test_sources_and_patients_are_kept_as_pseudonyms_under_the_datasites_secret(tmp_path: Path, state: Path) -> None:
    files = write_raw(tmp_path / "files", 120)
    patients = [f"patient {number % 60}" for number in range(120)]
    store = bring_in(state, raw_listing(files, labels=[0] * 120, patients=patients), DatasetSettings(unit="patient"))
    listed = raw_listing(files).pictures
    wanted = {pseudonyms.of_source(SECRET, listed[row].picture.digest()): patients[row] for row in range(120)}
    assert store.sources is not None and store.patients is not None
    found = {store.sources[row].tobytes(): store.patients[store.units[row]].tobytes() for row in range(120)}
    assert found == {source: pseudonyms.of_patient(SECRET, patient) for source, patient in wanted.items()}
    assert pseudonyms.of_patient(b"t" * 32, "patient 1") != pseudonyms.of_patient(SECRET, "patient 1")
    kept = b"".join(path.read_bytes() for path in (state / "store" / "pictures").iterdir())
    assert b"patient 1" not in kept and SECRET not in kept and listed[0].picture.digest() not in kept


def test_several_labels_a_picture_are_kept_with_what_nobody_knows(state: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 1), dtype=np.uint8)
    labels = [[number % 2, number % 3 - 1, 1] for number in range(60)]
    names = ("effusion", "nodule", "hernia")
    store = bring_in(state, listing_of(images, labels, names, label_kind="multi"), DatasetSettings(label_kind="multi"))
    row_of = {image.tobytes(): row for row, image in enumerate(images)}
    assert store.labels.dtype == np.int8
    assert [labels[row_of[image.tobytes()]] for image in store.images] == store.labels.tolist()


def test_sixteen_bits_are_kept_where_they_are_asked_for(state: Path) -> None:
    images = np.random.default_rng(0).integers(0, 65536, (60, 4, 4, 1), dtype=np.uint16)
    store = bring_in(state, listing_of(images, [0, 1] * 30, ("a", "b")), DatasetSettings(store_bits=16))
    assert store.images.dtype == np.uint16
    assert sorted(image.tobytes() for image in store.images) == sorted(image.tobytes() for image in images)


@pytest.mark.parametrize(
    ("label_kind", "labels"), [("single", [2]), ("single", [-1]), ("multi", [0, 2]), ("multi", [0])]
)
def test_labels_that_nobody_declared_are_refused_before_a_pixel_is_read(
    state: Path, label_kind: str, labels: list[int]
) -> None:
    listing = listing_of(np.zeros((60, 4, 4, 1), np.uint8), [labels] * 60, ("a", "b"), label_kind=label_kind)
    with pytest.raises(DataError, match="Labels must lie"):
        bring_in(state, listing)
    assert list(state.iterdir()) == []
