"""Errors of models in files for other programs, made by an export, and of the papers that go with a model."""

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


class EvidenceRefused(ConfigError):
    """A study's papers were not written, or do not hold: a file of the study or of the pack is not what it was."""

    code, status = "WW843", 422
