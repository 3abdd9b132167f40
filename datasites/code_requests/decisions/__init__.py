"""Decisions on code requests, and what follows from one once it is recorded."""
