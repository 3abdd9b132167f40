"""Drawn pictures and reports, for demos and tests. Nothing here is of a patient."""
