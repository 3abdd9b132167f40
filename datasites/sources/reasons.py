"""Why something in a source is no picture of its listing. `docs/ref-picture-formats.md` has the same table.

What a single file's content refuses is in `datasites.picture_files.reasons`.
"""

from __future__ import annotations

from datasites.picture_files.picture_refused import Reason

SYSTEM_FILE = Reason(
    "system_file", "It is of an operating system or a program, and holds no picture.", "Nothing needs to be done."
)
EMPTY_FOLDER = Reason(
    "empty_folder", "There is nothing in this folder.", "List it in class_names if it is a class that is empty here."
)
OTHER_FILE = Reason("other_file", "It is no picture.", "Nothing needs to be done if it is meant to stay out.")
OTHER_FORMAT = Reason(
    "other_format",
    "By its name or its content it is a picture, a volume or a film, and of no format that is read.",
    "Save it as PNG, TIFF or JPEG, a volume as NIfTI in one file (.nii), or copy it anew if it should be one.",
)
DICOM_FILE = Reason(
    "dicom_file",
    "It is a DICOM file among other pictures.",
    "Set kind to 'dicom', so that what its header says of the patient is looked at.",
)
SEVERAL_FRAMES = Reason(
    "several_frames",
    "The file holds several pictures or slices.",
    "Set frames to 'all' or 'middle', or save the one that counts by itself.",
)
NOT_IN_TABLE = Reason("not_in_table", "The table does not name it.", "Add its line if it is meant to be in.")
OTHER_SPLIT = Reason("other_split", "It belongs to another part of the file.", "Set split to take that part.")
REASONS = (
    SYSTEM_FILE,
    EMPTY_FOLDER,
    OTHER_FILE,
    OTHER_FORMAT,
    DICOM_FILE,
    SEVERAL_FRAMES,
    NOT_IN_TABLE,
    OTHER_SPLIT,
)
