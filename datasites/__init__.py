"""Runs inside a hospital: ingestion, requests, runs and training. Private data never leaves this package."""
