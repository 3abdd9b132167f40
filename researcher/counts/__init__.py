"""Noised counts of hospitals, and what can be said from them."""
