"""`reports.csv` is read strictly, and no error repeats what stands in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.errors import DataError
from policies.plans.reports_file import read_reports

CANARY = "zyzzyva-4711"


def write(folder: Path, content: str | bytes) -> Path:
    (folder / "reports.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def test_reports_are_read_by_picture_with_commas_breaks_and_both_scripts(tmp_path: Path) -> None:
    content = '\ufeffid,picture,report\n7,a/1.png,"No, nothing\nhere"\n8,.\\a\\2.png,未见气胸。\n9, b/3.jpg ,\n'
    assert read_reports(write(tmp_path, content)) == {
        "a/1.png": "No, nothing\nhere",
        "a/2.png": "未见气胸。",
        "b/3.jpg": "",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must have the columns"),
        ("file,report\na/1.png,x\n", "must have the columns"),
        (f"picture,report\na/1.png,{CANARY}\na/1.png,{CANARY}\n", "another picture"),
        (f"picture,report\n,{CANARY}\n", "another picture"),
        ("picture,report\na/1.png\n", "another picture"),
        (f"picture,report\na/1.png,no, {CANARY}\n", "in quotes where it has commas"),
        (f'picture,report\na/1.png,"{CANARY}"x\n', "does not read as one"),
        (f'picture,report\na/1.png,"{CANARY}\n', "does not read as one"),
        (f"picture,report\na/1.png,{CANARY}".encode() + b"\xff\n", "must be UTF-8"),
        (f"picture,report\na/1.png,{CANARY}病".encode("gb18030"), "must be UTF-8"),
        (f"picture,report\na/1.png,{CANARY}{'x' * 1_100_000}\n", "does not read as one"),
    ],
)
def test_what_is_no_table_of_reports_is_refused_without_repeating_it(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_reports(write(tmp_path, content))
    error: BaseException | None = caught.value
    while error is not None:
        assert CANARY not in str(error) and CANARY not in getattr(error, "private", "")
        error = error.__cause__
    assert str(tmp_path) not in caught.value.public


def test_a_missing_file_and_a_link_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    with pytest.raises(DataError, match=r"there is no reports\.csv"):
        read_reports(folder)
    (folder / "reports.csv").symlink_to(write(tmp_path, "picture,report\n") / "reports.csv")
    with pytest.raises(DataError, match="leads outside"):
        read_reports(folder)
