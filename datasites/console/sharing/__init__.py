"""Signed files by which hospitals tell each other things, through their people."""
