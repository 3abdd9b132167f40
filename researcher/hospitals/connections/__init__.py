"""Connections to a datasite, below HTTP."""
