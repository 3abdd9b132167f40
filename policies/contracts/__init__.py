"""Contracts: the form of what may enter a run and of what may leave it, and the encodings in which it travels."""
