"""Errors of pictures, tables, folders and stores, on the hospital's side."""

from __future__ import annotations

from policies.errors.wanwu_error import WanwuError


class DataError(WanwuError):
    """Pictures, labels or a store cannot be read as what they should be."""

    code, status = "WW201", 422


class StoreBroken(DataError):
    """A picture store does not match its manifest."""

    code, status = "WW202", 500


class IdentitySuspected(DataError):
    """Names of files, folders, columns or classes look like a person's."""

    code, status = "WW203", 422
