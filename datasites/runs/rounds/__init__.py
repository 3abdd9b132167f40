"""Rounds of approved requests: what a run is told, and what of its result is let out."""
