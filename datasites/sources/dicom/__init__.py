"""DICOM files of a hospital: which there are, whose they are, and which of them wait for a person. All are private."""
