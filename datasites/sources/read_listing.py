"""Lists one hospital's pictures from any kind of source. Nothing of a listing crosses the boundary but class names."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from datasites.picture_files.picture_refused import Reason
from datasites.sources.contents import Measured, content_of
from datasites.sources.dataset_settings import DatasetSettings, is_named
from datasites.sources.folders.walk import Walk
from datasites.sources.listing import Listing, refuse_lost_classes
from datasites.sources.tables.read_table import OTHER_TABLES, TABLE_SUFFIXES
from datasites.sources.tables.report_texts import plain_reports
from policies.errors import ConfigError

_LOOKED_AT = 64
_PACKED_TABLES = (".csv.gz", ".tsv.gz")
_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".7z", ".rar"})


def list_pictures(
    settings: DatasetSettings, watch: Callable[[int], None] = lambda done: None, measured: Measured | None = None
) -> Listing:
    """Lists the pictures that the settings name, without reading a pixel.

    Args:
        settings: A hospital's table [dataset]; `data_path` must be given.
        watch: Told how many files or rows were looked at.
        measured: Gets what the header of every file says, which takes a look at each.

    Returns:
        Every picture with its label, patient and report, and what else was found there.

    Raises:
        ConfigError: There is nothing at the configured path.
        DataError: The source cannot be read as described, it has to be described better first, a class of it has no
            picture that is taken, or its reports are no plain text. The private text names files, the public one none.
    """
    return plain_reports(refuse_lost_classes(_listed(settings, watch, measured)))


def _listed(settings: DatasetSettings, watch: Callable[[int], None], measured: Measured | None) -> Listing:
    kind = kind_of_source(settings)
    if kind == "npz":
        from datasites.sources.arrays.medmnist import class_names, fetched
        from datasites.sources.arrays.npz_pictures import list_npz

        if is_named(settings.data_path):
            return list_npz(fetched(settings.data_path), settings, watch, class_names(settings.data_path))
        return list_npz(Path(settings.data_path), settings, watch)
    if kind == "table":
        from datasites.sources.tables.table_pictures import list_table

        return list_table(settings, watch, measured)
    if kind == "dicom":
        from datasites.sources.dicom.dicom_listing import list_dicom

        return list_dicom(settings, watch, measured)
    from datasites.sources.folders.class_folders import list_class_folders

    return list_class_folders(settings, watch, measured)


def kind_of_source(settings: DatasetSettings) -> str:
    """What a data path is, one of `KINDS` without `auto`.

    Raises:
        ConfigError: There is nothing, or nothing that pictures are read from.
        DataError: A folder cannot be listed.
    """
    if is_named(settings.data_path):
        return "npz"
    path = Path(settings.data_path)
    if not settings.data_path:
        raise ConfigError("No pictures: data_path is empty. Say where they are.")
    if not path.exists():
        raise ConfigError(f"No pictures at {path}: nothing is there. Give a path that exists.")
    if settings.kind != "auto":
        return settings.kind
    suffix = path.suffix.lower()
    if path.is_file():
        if suffix == ".npz":
            return "npz"
        if suffix in (*TABLE_SUFFIXES, *OTHER_TABLES) or path.name.lower().endswith(_PACKED_TABLES):
            return "table"
        if content_of(path) == "dicom":
            return "dicom"
        raise _other_file(path)
    walk = Walk(path / settings.site if settings.site and (path / settings.site).is_dir() else path)
    kinds = [content_of(walk.root / found.inside) for found in islice(walk.files(), _LOOKED_AT)]
    pictures = [kind for kind in kinds if not isinstance(kind, Reason)]
    if 2 * pictures.count("dicom") > len(pictures):
        return "dicom"
    return "table" if settings.table else "folder"


def _other_file(path: Path) -> ConfigError:
    """Why a file that pictures are not listed from is none, and what to give instead."""
    if path.suffix.lower() in _ARCHIVES:
        return ConfigError(f"{path.name} is an archive. Unpack it, and give the folder with its pictures.")
    if not isinstance(content_of(path), Reason):
        return ConfigError(
            f"{path.name} is one picture. Give the folder that the folders of its classes lie in, or a table that "
            "names the pictures."
        )
    return ConfigError(f"{path.name} is neither an .npz file, a table, nor a DICOMDIR. Give one of these or a folder.")
