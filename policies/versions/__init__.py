"""Versions of the two sides: their packages, their releases, the protocol between them. Decides who works with whom."""
