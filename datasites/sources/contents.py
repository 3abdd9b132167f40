"""The files of a source: each one's format, by its first bytes, and its pictures, by its header. No pixel is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from datasites.picture_files.decode import probe
from datasites.picture_files.file_pixels import PictureInfo
from datasites.picture_files.kind import is_known_picture, kind_of
from datasites.picture_files.picture_refused import PictureRefused, Reason
from datasites.picture_files.reasons import NOT_A_FILE, UNKNOWN_FORMAT
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.file_picture import FilePicture
from datasites.sources.listing import LeftOut, ListedPicture
from datasites.sources.reasons import DICOM_FILE, OTHER_FILE, OTHER_FORMAT, SEVERAL_FRAMES

_SUFFIXES = (
    ".png .jpg .jpeg .jpe .jfif .tif .tiff .bmp .dib .webp .gif .jp2 .j2k .jpx .jxl .heic .heif .avif .svs .ndpi .psd "
    ".ppm .pgm .pcx .tga .exr .dng .cr2 .nef .arw .dcm .dicom .ima .nii .gz .mha .mhd .nrrd .img .raw .jls .j2c "
    ".mrxs .vsi .scn .bif .czi .nd2 .lif .npy .mat .mp4 .m4v .avi .mov .mpg .mpeg .wmv .webm .mkv "
    ".oib .stk .jph .jxr .jpf .qoi .mgz .mgh .mnc .gipl .nhdr .rec .fits"
)
PICTURE_SUFFIXES = frozenset(_SUFFIXES.split())
"""Of files that are, or hold, pictures or films: what is not read of them is told as lost, not passed by."""
_OF_SEVERAL = ("tiff", "nifti")


@dataclass
class Measured:
    """What headers say of the pictures that were looked at.

    Attributes:
        sizes: How often each (height, width) came.
        kinds: How often each format came.
        modalities: How often each of DICOM's modalities came.
        unstated: How many hold more than 8 bits a value and do not say how many of them count.
        channels: The most of them that came.
        frames: The most pictures that one file holds.
        left_out: What else was met, also where the whole is refused afterwards.
    """

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    modalities: Counter[str] = field(default_factory=Counter)
    unstated: int = 0
    channels: int | None = None
    frames: int = 1
    left_out: list[LeftOut] = field(default_factory=list)

    def add(self, info: PictureInfo, modality: str = "") -> None:
        """Takes one file's header."""
        self.sizes[info.size] += 1
        self.kinds[info.kind] += 1
        self.modalities[modality] += bool(modality)
        self.unstated += info.bits > 8 and not info.bits_stated
        self.channels = max(self.channels or 1, info.channels)
        self.frames = max(self.frames, info.frames)

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) that all have; None where they differ or nothing came."""
        return next(iter(self.sizes)) if len(self.sizes) == 1 else None


def content_of(file: Path) -> str | Reason:
    """A file's format as `kind_of` names it, or why it has none."""
    try:
        return kind_of(file) if file.is_file() else NOT_A_FILE
    except PictureRefused as refused:
        if refused.reason != UNKNOWN_FORMAT:
            return refused.reason
        is_picture = file.suffix.lower() in PICTURE_SUFFIXES or _is_known_picture(file)
        return OTHER_FORMAT if is_picture else OTHER_FILE


def _is_known_picture(file: Path) -> bool:
    try:
        return is_known_picture(file)
    except OSError:
        return False


class PictureFiles:
    """Takes a source's files, one after the other, and gives the pictures in them.

    Args:
        root: The source's folder.
        settings: Which frames and slices are taken, and whether the pictures' own size and channels count.
        measured: Gets what every header says; without it headers are read only where something depends on them.
    """

    def __init__(self, root: Path, settings: DatasetSettings, measured: Measured | None = None) -> None:
        self.measured = measured or Measured()
        self.left_out = self.measured.left_out
        self._root, self._settings = root, settings
        self._measures = measured is not None or not all(settings.size) or settings.channels == 0

    def pictures(self, inside: str) -> list[FilePicture]:
        """The pictures of one file; none where it is left out, which is noted."""
        kind = content_of(self._root / inside)
        if kind == "dicom":
            kind = DICOM_FILE
        if isinstance(kind, Reason):
            self.left_out.append(LeftOut(inside, kind, lost=kind != OTHER_FILE))
            return []
        if not self._measures and kind not in _OF_SEVERAL:
            return [FilePicture(str(self._root), inside)]
        try:
            info = probe(self._root / inside, axis=self._settings.nifti_axis)
        except PictureRefused as refused:
            self.left_out.append(LeftOut(inside, refused.reason))
            return []
        self.measured.add(info)
        if info.frames > 1 and self._settings.frames == "one":
            self.left_out.append(LeftOut(inside, SEVERAL_FRAMES))
            return []
        return [FilePicture(str(self._root), inside, frame, self._settings.nifti_axis) for frame in self._frames(info)]

    def _frames(self, info: PictureInfo) -> Iterator[int | None]:
        if info.frames == 1:
            yield None
        elif self._settings.frames == "middle":
            yield info.frames // 2
        else:
            yield from range(info.frames)


def by_file(listed: Sequence[ListedPicture]) -> list[ListedPicture]:
    """The pictures, each file a patient of its own where files hold several slices and nobody names patients."""
    pictures = [one.picture for one in listed if isinstance(one.picture, FilePicture)]
    if any(one.patient is not None for one in listed) or all(picture.frame is None for picture in pictures):
        return list(listed)
    return [replace(one, patient=picture.inside) for one, picture in zip(listed, pictures, strict=True)]
