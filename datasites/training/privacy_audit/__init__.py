"""The audit: measures from outside what a round gives away about single records, on drawn pictures alone."""

from datasites.training.privacy_audit.audit import AuditResult, run_audit

__all__ = ["AuditResult", "run_audit"]
