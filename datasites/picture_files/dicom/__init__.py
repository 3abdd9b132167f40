"""DICOM files, turned into what a radiologist would see, by one declared rule. Only pixels leave this folder.

`pixels` of `pixels.py` is the way in; `header.py` says which elements of a file are read at all.
"""
