"""Errors of settings, state folders, books and the audit log."""

from __future__ import annotations

from policies.errors.wanwu_error import WanwuError


class ConfigError(WanwuError):
    """A setting, a port, a path or a state folder is not usable."""

    code = "WW801"


class AuditBroken(ConfigError):
    """The audit log was changed, cut, or is torn."""

    code = "WW820"


class AuditUnavailable(ConfigError):
    """The audit log cannot be written, or not be read now: nothing is done that must stand in it."""

    code, status = "WW821", 503


class StorageUnavailable(ConfigError):
    """The hospital's disk is full, read-only or broken."""

    code, status = "WW822", 503


class StateVersionMismatch(ConfigError):
    """A state folder was made by another version than this one works with."""

    code = "WW823"


class BackupRefused(ConfigError):
    """A backup is torn, changed or would be restored at the cost of what was spent since."""

    code = "WW824"


class DatabaseUnavailable(ConfigError):
    """PostgreSQL, which keeps PySyft's rows, does not answer or lets nobody in."""

    code, status = "WW825", 503


class DatabaseRefused(ConfigError):
    """A database cannot be PySyft's: it is another datasite's, another copy, too old, or holds what it must not."""

    code = "WW826"


class RowUnreadable(ConfigError):
    """A row that PySyft keeps cannot be read; nothing of it is told."""

    code = "WW827"


class NoticeNotSent(ConfigError):
    """A mail server or a webhook did not take a notice; nothing else is held up by that."""

    code, status = "WW831", 502


class BooksDisagree(ConfigError):
    """A datasite's books do not tell one story, or one is missing: nothing is served."""

    code = "WW830"


class BooksBehind(ConfigError):
    """A datasite's ledger lacks what the datasite itself has signed: nothing runs and nothing is charged."""

    code, status = "WW832", 503
