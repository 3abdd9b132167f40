"""Captures: a researcher's own network, written down as a graph at home. Nothing here runs at a hospital."""
