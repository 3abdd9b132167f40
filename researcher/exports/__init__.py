"""Exports: a global model in a file for other programs, held against the torch model before it is written."""
