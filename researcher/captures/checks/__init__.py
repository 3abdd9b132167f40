"""Checks of a captured graph: what it is held against before it is given out."""
