"""Randomness that nobody can guess, and the noise that is made of it."""
