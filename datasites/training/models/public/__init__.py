"""Weights that others published: where they come from, and how they are fitted in."""
