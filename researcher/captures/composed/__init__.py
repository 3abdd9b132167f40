"""Translations of what a graph has no operator of its own for: each is written as several that have rules."""
