"""Why a DICOM file's pixels are not taken. None says a value of the file; the syntax or element stands in the private text."""

from __future__ import annotations

from datasites.picture_files.picture_refused import Reason

NOT_DICOM = Reason(
    "not_dicom",
    "It does not begin as a DICOM file does (128 bytes, then DICM).",
    "Export it again as a DICOM file, with its file meta information.",
)
BROKEN = Reason(
    "dicom_broken",
    "Its elements cannot be read as DICOM.",
    "Export it again from the archive.",
)
MISSING_ELEMENT = Reason(
    "dicom_element_missing",
    "An element that describes the pixels is missing or holds no value that it may hold.",
    "Export it again from the archive; the hospital's report names the element.",
)
NO_PIXELS = Reason(
    "dicom_without_pixels",
    "It holds no pixel data.",
    "Nothing need be done: reports, plans and the like have none.",
)
SYNTAX = Reason(
    "dicom_syntax",
    "Its transfer syntax has no decoder here.",
    "Have the archive send it uncompressed, or install a decoder that docs/ref-dicom.md names for this syntax.",
)
UNDECODABLE = Reason(
    "dicom_undecodable",
    "Its compressed pixels cannot be decoded.",
    "Export it again; if other viewers show it, have the archive send it uncompressed.",
)
WRONG_LENGTH = Reason(
    "dicom_wrong_length",
    "Its pixel data is shorter or longer than its rows, columns and frames say.",
    "Export it again: a transfer was cut, or the number of frames is wrong.",
)
TOO_LARGE = Reason(
    "dicom_too_large",
    "It has more pixels than one picture may have.",
    "Export it at a lower resolution.",
)
NO_FRAME = Reason(
    "dicom_no_such_frame",
    "It has no frame of that number, or its frames are described by another number of groups.",
    "Export it again from the archive.",
)
PHOTOMETRIC = Reason(
    "dicom_photometric",
    "Its photometric interpretation is none that is shown here, or does not fit its samples.",
    "Have the archive send it as MONOCHROME, PALETTE COLOR, RGB or YBR.",
)
BITS = Reason(
    "dicom_bits",
    "The bits that it says hold its values are not the lowest ones.",
    "Have the archive send it with a high bit that is one less than the bits stored.",
)
RESCALE = Reason(
    "dicom_rescale",
    "Its rescale slope or intercept stands alone or is no number to scale with.",
    "Export it again from the archive.",
)
LOOKUP_TABLE = Reason(
    "dicom_lookup_table",
    "A lookup table or palette of it does not fit its own descriptor.",
    "Export it again from the archive, or declare the window as percentile or full.",
)
NO_WINDOW = Reason(
    "dicom_no_window",
    "It has more than 8 bits and no window of the declared number.",
    "Declare the window as percentile or full for this dataset, or another window number.",
)
BAD_WINDOW = Reason(
    "dicom_bad_window",
    "Its window has a width, function or number of values that DICOM does not allow.",
    "Declare the window as percentile or full for this dataset.",
)
NO_RANGE = Reason(
    "dicom_no_range",
    "Its values are floating point or all padding, so the declared window has no black and white.",
    "Declare the window as percentile, or as file where the files have windows.",
)
ASPECT = Reason(
    "dicom_aspect",
    "Its pixel spacing or aspect ratio is no pair of positive numbers, or more than twenty to one.",
    "Set square_pixels to false for this dataset, or export it again.",
)
