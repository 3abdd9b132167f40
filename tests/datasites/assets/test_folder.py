"""A hospital's folder of class folders is read as it was drawn, and what does not fit is refused without its name."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasites.assets.folder import read_folder
from policies.errors import DataError

RED = (200, 30, 40)


def paint(
    path: Path, colour: int | tuple[int, ...], *, size: tuple[int, int] = (4, 3), mode: str | None = None
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = mode or {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[len(colour) if isinstance(colour, tuple) else 1]
    Image.new(mode, size, colour).save(path)
    return path


def two_classes(folder: Path, colour: int | tuple[int, ...] = RED) -> Path:
    paint(folder / "white" / "1.png", colour)
    paint(folder / "red" / "1.png", colour)
    return folder


def test_classes_are_the_sorted_subfolders_and_files_come_in_order_of_their_names(tmp_path: Path) -> None:
    paint(tmp_path / "white" / "a.png", (9, 9, 9))
    paint(tmp_path / "red" / "b.PNG", (2, 2, 2))
    paint(tmp_path / "red" / "a.png", (1, 1, 1))
    source = read_folder(tmp_path)
    assert source.class_names == ("red", "white")
    assert source.labels.tolist() == [0, 0, 1]
    assert source.images[:, 0, 0, 0].tolist() == [1, 2, 9]
    assert source.images.shape == (3, 3, 4, 3)  # 4 wide, 3 high
    assert source.patients is None


def test_given_classes_keep_their_order_and_may_be_missing_here(tmp_path: Path) -> None:
    source = read_folder(two_classes(tmp_path), classes=["white", "platelet", "red"])
    assert source.class_names == ("white", "platelet", "red")
    assert sorted(source.labels.tolist()) == [0, 2]


def test_a_folder_that_is_not_a_given_class_is_refused_without_its_name(tmp_path: Path) -> None:
    paint(two_classes(tmp_path) / "zebra" / "1.png", RED)
    with pytest.raises(DataError, match="among red, white; another came") as caught:
        read_folder(tmp_path, classes=["red", "white"])
    assert "zebra" not in caught.value.public
    assert "zebra" in caught.value.private


def test_jpeg_is_read_to_within_its_loss(tmp_path: Path) -> None:
    paint(two_classes(tmp_path) / "red" / "2.jpeg", RED)
    paint(tmp_path / "red" / "3.jpg", RED)
    assert np.abs(read_folder(tmp_path).images.astype(int) - RED).max() <= 3


def test_all_grey_files_give_one_channel_and_one_colour_file_gives_three(tmp_path: Path) -> None:
    two_classes(tmp_path, 77)
    assert read_folder(tmp_path).images.tolist() == np.full((2, 3, 4, 1), 77).tolist()
    paint(tmp_path / "red" / "2.png", RED)
    source = read_folder(tmp_path)
    assert source.images[0, 0, 0].tolist() == [77, 77, 77]
    assert source.images[1, 0, 0].tolist() == list(RED)


def test_asked_channels_hold_whatever_the_files_are(tmp_path: Path) -> None:
    paint(two_classes(tmp_path, 77) / "red" / "2.png", (100, 100, 100))
    assert read_folder(tmp_path, channels=1).images[:, 0, 0, 0].tolist() == [77, 100, 77]
    assert read_folder(tmp_path, channels=3).images.shape == (3, 3, 4, 3)
    with pytest.raises(DataError, match="channels must be 1 or 3, got 2"):
        read_folder(tmp_path, channels=2)


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    two_classes(tmp_path, 0)
    levels = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)  # 257 is 1 of 255; 32768 is 127.502 of 255
    Image.fromarray(levels).resize((4, 3), Image.Resampling.NEAREST).save(tmp_path / "red" / "2.png")
    assert read_folder(tmp_path).images[1, 0, :, 0].tolist() == [0, 1, 128, 255]


def test_palettes_become_colours(tmp_path: Path) -> None:
    two_classes(tmp_path)
    Image.new("RGB", (4, 3), RED).quantize(4).save(tmp_path / "red" / "2.png")
    assert read_folder(tmp_path).images[1, 0, 0].tolist() == list(RED)


def test_transparent_parts_become_black(tmp_path: Path) -> None:
    two_classes(tmp_path)
    paint(tmp_path / "red" / "2.png", (*RED, 0))
    paint(tmp_path / "red" / "3.png", (*RED, 255))
    assert read_folder(tmp_path).images[1:3, 0, 0].tolist() == [[0, 0, 0], list(RED)]


def test_grey_with_alpha_and_black_and_white_stay_grey(tmp_path: Path) -> None:
    two_classes(tmp_path, 5)
    paint(tmp_path / "red" / "2.png", (80, 255))
    paint(tmp_path / "red" / "3.png", 1, mode="1")
    assert read_folder(tmp_path).images[:, 0, 0].tolist() == [[5], [80], [255], [5]]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    paint(tmp_path / "red" / "1.png", 0, size=(3, 4))
    paint(tmp_path / "white" / "1.png", 0, size=(3, 4))
    turned = Image.new("L", (4, 3), 0)
    turned.paste(255, (0, 0, 1, 3))  # left column bright
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side: turn a quarter clockwise
    turned.save(tmp_path / "red" / "2.png", exif=exif)
    assert read_folder(tmp_path).images[1, :, :, 0].tolist() == [[255] * 3, [0] * 3, [0] * 3, [0] * 3]


def test_mixed_sizes_are_refused_without_a_size_and_resized_with_one(tmp_path: Path) -> None:
    paint(two_classes(tmp_path) / "white" / "2.png", RED, size=(7, 7))
    with pytest.raises(DataError, match="one size, these have several") as caught:
        read_folder(tmp_path)
    assert "2.png is 7 x 7, the first is 3 x 4" in caught.value.private
    source = read_folder(tmp_path, image_size=(6, 5))
    assert source.images.shape == (3, 6, 5, 3)
    assert (source.images == RED).all()


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_an_unreadable_picture_is_refused_and_named_only_in_private(tmp_path: Path, content: bytes) -> None:
    (two_classes(tmp_path) / "red" / "miller.png").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as PNG or JPEG") as caught:
        read_folder(tmp_path)
    assert "miller" not in caught.value.public
    assert "miller" in caught.value.private


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    file = two_classes(tmp_path) / "red" / "2.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[:-25])
    with pytest.raises(DataError, match="cannot be read as PNG or JPEG"):
        read_folder(tmp_path)


def test_another_format_under_a_picture_name_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3), RED).save(two_classes(tmp_path) / "red" / "2.png", format="BMP")
    with pytest.raises(DataError, match="cannot be read as PNG or JPEG"):
        read_folder(tmp_path)


def test_hidden_entries_and_other_files_are_skipped(tmp_path: Path) -> None:
    two_classes(tmp_path)
    for name in ("Thumbs.db", ".DS_Store", "._1.png", "notes.txt"):
        (tmp_path / "red" / name).write_bytes(b"no picture")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "1.png").write_bytes(b"no picture")
    (tmp_path / "readme.txt").write_text("about")
    source = read_folder(tmp_path)
    assert source.class_names == ("red", "white")
    assert len(source.images) == 2


@pytest.mark.parametrize("link", ["red/2.png", "violet"])
def test_a_link_that_leads_outside_is_refused(tmp_path: Path, link: str) -> None:
    folder = two_classes(tmp_path / "hospital")
    outside = paint(tmp_path / "elsewhere" / "1.png", RED)
    (folder / link).symlink_to(outside if link.endswith("png") else outside.parent)
    with pytest.raises(DataError, match="link leads outside") as caught:
        read_folder(folder)
    assert link.split("/")[-1] in caught.value.private


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    folder = two_classes(tmp_path)
    (folder / "red" / "2.png").symlink_to(folder / "red" / "1.png")
    assert len(read_folder(folder).images) == 3


def test_pictures_beside_or_below_the_class_folders_are_refused_rather_than_left_out(tmp_path: Path) -> None:
    paint(two_classes(tmp_path / "beside") / "1.png", RED)
    with pytest.raises(DataError, match="one lies beside the class folders"):
        read_folder(tmp_path / "beside")
    paint(two_classes(tmp_path / "below") / "red" / "more" / "1.png", RED)
    with pytest.raises(DataError, match="one holds a folder"):
        read_folder(tmp_path / "below")


def test_a_folder_without_pictures_or_with_one_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "red").mkdir()
    with pytest.raises(DataError, match="2 to 10000 classes"):
        read_folder(tmp_path)
    (tmp_path / "white").mkdir()
    with pytest.raises(DataError, match="none came"):
        read_folder(tmp_path)
    with pytest.raises(DataError, match="folder cannot be read"):
        read_folder(tmp_path / "missing")
