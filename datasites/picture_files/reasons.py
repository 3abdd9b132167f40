"""Why a picture file is not taken: each reason's code, meaning and advice, as they stand in a hospital's report.

`docs/ref-picture-formats.md` has the same table. DICOM's own reasons stand with its reader.
"""

from __future__ import annotations

from datasites.picture_files.picture_refused import Reason

NOT_A_FILE = Reason(
    "not_a_file", "There is no plain file of this name that can be opened.", "Check the file's place and its rights."
)
UNKNOWN_FORMAT = Reason(
    "unknown_format",
    "By its content the file is none of PNG, JPEG, TIFF, BMP, WebP, DICOM and NIfTI.",
    "Save the picture in one of these formats, or move the file out of the folder.",
)
DAMAGED = Reason("damaged", "The file is cut short or damaged.", "Copy it anew from where it came from.")
UNKNOWN_LAYOUT = Reason(
    "unknown_layout",
    "The file's values are laid out in a way that cannot be read, or its header is damaged.",
    "Save the picture anew, as PNG or TIFF of 8 or 16 bits for instance.",
)
CHANGED = Reason(
    "changed", "The file changed while it was read.", "Wait until nothing writes to the folder, and start again."
)
TOO_LARGE = Reason(
    "too_large", "The picture has more pixels than are taken.", "Make it smaller, or cut it into several pictures."
)
MANY_PAGES = Reason(
    "many_pages",
    "The file holds more than 4096 pictures.",
    "Cut it into several files, or save the pictures by themselves.",
)
HIDDEN_PAGES = Reason(
    "hidden_pages",
    "The file holds further slices of a stack that have no page of their own.",
    "Save the stack anew, each slice as a page or as a file of its own.",
)
SLIDE_FILE = Reason(
    "slide_file",
    "A slide scanner wrote it: the slide in several sizes, and its label, on which names may stand.",
    "Export the regions that count, as PNG or TIFF, or have the slide sent as DICOM.",
)
NO_SUCH_FRAME = Reason(
    "no_such_frame", "The file has no picture of this number.", "Check the frames that are asked for."
)
ANIMATED = Reason(
    "animated", "The file shows several pictures one after the other.", "Save the picture that counts by itself."
)
BITS_IN_DOUBT = Reason(
    "bits_in_doubt",
    "The file holds 16 bits a value and uses less than a sixteenth of their range, so what is white is in doubt.",
    "Set bits to how many bits of each value count: 12, for instance; 16 where the picture really is that dark.",
)
BITS_EXCEEDED = Reason(
    "bits_exceeded",
    "The picture has values above the largest of its stated or declared bits.",
    "Set bits to how many bits of each value count, or save the picture anew.",
)
FLOAT_VALUES = Reason(
    "float_values",
    "The picture's values are fractions, which do not say what is black and what is white.",
    "Save it with whole numbers of 8 or 16 bits.",
)
LONG_VALUES = Reason(
    "long_values",
    "The picture's values have a sign or 32 bits, which do not say what is black and what is white.",
    "Save it with whole numbers of 8 or 16 bits, from 0.",
)
COLOUR_DEPTH = Reason(
    "colour_depth",
    "The picture is of 16 bits a channel in a layout that cannot be read without loss.",
    "Save it as RGB or grey of 16 bits, or of 8.",
)
COLOUR_SPACE = Reason(
    "colour_space",
    "The picture's colours are stored in a way that no rule is declared for.",
    "Save it as RGB or grey.",
)
SEVERAL_VOLUMES = Reason(
    "several_volumes",
    "The file holds more or less than one volume of three axes.",
    "Save each volume, such as one point of time, in a file of its own.",
)
NO_ORIENTATION = Reason(
    "no_orientation",
    "The volume does not say how it lies in the patient, so right and left are in doubt.",
    "Save it anew with its qform or sform set.",
)
VOXEL_KIND = Reason(
    "voxel_kind", "The volume's voxels are colours or complex numbers.", "Save it with one real number a voxel."
)
NO_WINDOW = Reason(
    "no_window",
    "The volume does not say which of its values are black and white.",
    "Set window to 'percentile', or to 'full' where the voxels are whole numbers.",
)
REASONS = (
    NOT_A_FILE,
    UNKNOWN_FORMAT,
    DAMAGED,
    UNKNOWN_LAYOUT,
    CHANGED,
    TOO_LARGE,
    MANY_PAGES,
    HIDDEN_PAGES,
    SLIDE_FILE,
    NO_SUCH_FRAME,
    ANIMATED,
    BITS_IN_DOUBT,
    BITS_EXCEEDED,
    FLOAT_VALUES,
    LONG_VALUES,
    COLOUR_DEPTH,
    COLOUR_SPACE,
    SEVERAL_VOLUMES,
    NO_ORIENTATION,
    VOXEL_KIND,
    NO_WINDOW,
)
