"""Noised counts of a hospital's pictures: evaluations and statistics."""
