"""Versions of the two sides: their packages, their releases, the wire between them. Decides who works with whom."""
