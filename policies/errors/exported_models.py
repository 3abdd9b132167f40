"""Errors of models in files for other programs: made by an export, opened by evaluation and serving."""

from __future__ import annotations

from policies.errors.configuration import ConfigError


class ModelRefused(ConfigError):
    """A model's file cannot be used: none that an export wrote, changed since, or asked for what it does not take."""

    code, status = "WW840", 422


class ExportRefused(ConfigError):
    """A model was not brought into another form: its outputs would differ, or the form cannot hold it."""

    code = "WW841"


class ConverterMissing(ConfigError):
    """A form needs a converter with an environment of its own, and that was not set up."""

    code = "WW842"
