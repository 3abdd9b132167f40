"""Graphs: own models as data, read strictly and proved to keep the pictures of a batch apart before any is computed."""
