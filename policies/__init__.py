"""Policies: what may happen to private data, and at what cost. Imports neither `datasites` nor `researcher`."""

__version__ = "0.3.0"
