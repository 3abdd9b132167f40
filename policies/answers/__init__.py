"""Answers of a datasite: one declared type for each, which it builds and a researcher's side reads."""
