"""Samples of a dataset beside its mock, drawn for the hospital's people by a process of its own."""
