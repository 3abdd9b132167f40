"""Why a DICOM file's pixels are not taken. No reason says a value of the file; the private text names the element."""

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
CUT_OFF = Reason(
    "dicom_cut_off",
    "It ends before its pixels begin: the file is cut off.",
    "Export it again: a transfer was cut, or a disk was full.",
)
NO_PIXELS = Reason(
    "dicom_without_pixels",
    "It holds no pixel data.",
    "Nothing need be done: reports, plans and the like have none.",
)
SYNTAX = Reason(
    "dicom_syntax",
    "Its transfer syntax has no decoder here.",
    "Have the archive send it uncompressed, of a film the pictures that count. JPEG-LS needs pyjpegls 1.4.0, which "
    "requirements.txt names: install it.",
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
FRAME_GROUPS = Reason(
    "dicom_frame_groups",
    "Its frames are described by another number of groups than it has frames.",
    "Export it again from the archive.",
)
PHOTOMETRIC = Reason(
    "dicom_photometric",
    "Its photometric interpretation is none that is shown here, or contradicts its samples or its presentation table.",
    "Have the archive send it as MONOCHROME, PALETTE COLOR, RGB or YBR; MONOCHROME1 with the presentation INVERSE.",
)
BITS = Reason(
    "dicom_bits",
    "Its values lie in a way that programs read differently: not in the lowest bits, in no whole bytes, over 16 bits "
    "in big endian, or as a JPEG of fewer bits than the header says.",
    "Have the archive send it in little endian, with a high bit that is one less than the bits stored.",
)
RESCALE = Reason(
    "dicom_rescale",
    "Its rescale slope or intercept stands alone or is no number to scale with.",
    "Export it again from the archive.",
)
LOOKUP_TABLE = Reason(
    "dicom_lookup_table",
    "A lookup table or palette of it does not fit its own descriptor, or uses less than a sixteenth of its bits.",
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
    "Its values are no numbers, floating point or all padding, so the declared window has no black and white.",
    "Declare the window as percentile, or as file where the files have windows.",
)
ASPECT = Reason(
    "dicom_aspect",
    "Its pixel spacing or aspect ratio is no pair of positive numbers, or more than twenty to one.",
    "Set square_pixels to false for this dataset, or export it again.",
)
REASONS = (
    NOT_DICOM,
    BROKEN,
    MISSING_ELEMENT,
    CUT_OFF,
    NO_PIXELS,
    SYNTAX,
    UNDECODABLE,
    WRONG_LENGTH,
    FRAME_GROUPS,
    PHOTOMETRIC,
    BITS,
    RESCALE,
    LOOKUP_TABLE,
    NO_WINDOW,
    BAD_WINDOW,
    NO_RANGE,
    ASPECT,
)
