"""Reasons that the way in gives besides those of files: each with its code, meaning and advice."""

from __future__ import annotations

from datasites.picture_files.picture_refused import Reason
from datasites.picture_files.reasons import BITS_IN_DOUBT, CHANGED

DECODER_ENDED = Reason(
    "decoder_ended",
    "The process that read the file ended without a word, as a broken or hostile file can make it.",
    "Save the picture anew with another program, or leave it out.",
)
DECODER_FAILED = Reason(
    "decoder_failed",
    "The file led its decoder to an error that nobody foresaw.",
    "Save the picture anew with another program, or leave it out.",
)
SAME_PICTURE = Reason(
    "same_picture",
    "Another picture has exactly the same pixels, and the same label.",
    "Remove the copies: with unit 'picture', each counts as a person of its own.",
)
SAME_PICTURE_OF_ONE_PATIENT = Reason(
    "same_picture_of_one_patient",
    "Another picture of the same patient has exactly the same pixels, and the same label.",
    "Remove the copy: training would count the picture twice. The bound of the patient holds either way.",
)
SAME_PICTURE_OF_TWO_PATIENTS = Reason(
    "same_picture_of_two_patients",
    "Another picture has exactly the same pixels and the same label, and it is another patient's, or of the dataset as "
    "it was, where nobody looks up whose.",
    "Find out whose it is: a picture is with the wrong patient, or one person has two identifiers and counts as two. "
    "Give one person one identifier, and remove the copy.",
)
TWO_CLASSES = Reason(
    "same_picture_in_two_classes",
    "Another picture has exactly the same pixels, and another label.",
    "Find out which label is right and remove the other picture, or take both with "
    "--accept same_picture_in_two_classes.",
)
EMPTY = Reason(
    "empty",
    "All pixels of the picture have one value.",
    "Look at it: an empty export teaches a model nothing. With DICOM, check window.",
)
PATIENT_IN_TWO_CLASSES = Reason(
    "patient_in_two_classes",
    "Pictures of the same patient have different labels.",
    "Nothing, where both can be true of one patient, such as before and after; else check the labels.",
)
PATIENT_IN_TWO_SITES = Reason(
    "patient_in_two_sites",
    "The patient has pictures at another site of the same source, too.",
    "Give all pictures of a patient to one site: what two sites release of a patient adds up.",
)
IN_HOLD_OUT = Reason(
    "in_hold_out",
    "The picture has exactly the pixels of one of the hold-out.",
    "Remove it here or there: a model is not to be measured on what it was trained on. Or take it with "
    "--accept in_hold_out.",
)
ENLARGED = Reason(
    "enlarged",
    "The picture was made more than twice as large; of many pictures only some are looked at for this.",
    "Choose a smaller size, which trains faster and shows as much, or take it as it is.",
)
PATIENTS_ALIKE = "patients_alike"
ACCEPTABLE = (TWO_CLASSES.code, IN_HOLD_OUT.code, PATIENTS_ALIKE)
"""What stops an ingest until the hospital says that it takes such pictures all the same."""
# Left out one by one these would go unseen: what is wrong is the folder or a setting.
STOPPING = frozenset({CHANGED.code, BITS_IN_DOUBT.code, *ACCEPTABLE})
