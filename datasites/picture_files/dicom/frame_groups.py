"""Values that Enhanced multi-frame objects keep for all frames together or for each frame: a frame's own come first."""

from __future__ import annotations

from pydicom import Dataset

from datasites.picture_files.dicom.elements import first_item, value
from datasites.picture_files.dicom.reasons import FRAME_GROUPS
from datasites.picture_files.picture_refused import PictureRefused


class FrameGroups:
    """Where the values of one frame stand."""

    def __init__(self, dataset: Dataset, frame: int, frames: int) -> None:
        """Finds the groups of `frame`.

        Raises:
            PictureRefused: There are groups for another number of frames.
        """
        own = value(dataset, "PerFrameFunctionalGroupsSequence")
        if own is not None and len(own) != frames:
            raise PictureRefused(FRAME_GROUPS)
        self._dataset = dataset
        self._groups = (None if own is None else own[frame], first_item(dataset, "SharedFunctionalGroupsSequence"))

    def holder(self, group: str, *keywords: str) -> Dataset:
        """The data set that holds any of `keywords`: the frame's `group`, the one for all frames, or the outermost."""
        for groups in self._groups:
            item = first_item(groups, group)
            if item is not None and any(keyword in item for keyword in keywords):
                return item
        return self._dataset
