"""Lists one hospital's pictures from any kind of source. Nothing of a listing crosses the boundary but class names."""

from __future__ import annotations

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import Listing


def list_pictures(settings: DatasetSettings) -> Listing:
    """Lists the pictures that the settings name, without reading a pixel.

    Args:
        settings: A hospital's table [dataset]; `data_path` must be given.

    Returns:
        Every picture with its label, patient and report, and what else was found there.

    Raises:
        ConfigError: There is nothing at the configured path.
        DataError: The source cannot be read as described, or it has to be described better first. The private text
            names files, the public one none.
    """
    raise NotImplementedError
