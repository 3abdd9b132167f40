"""The sandbox of a run, a module for each of its pieces."""
