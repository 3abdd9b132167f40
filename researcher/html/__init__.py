"""Pieces of HTML that a notebook shows: every text in them is escaped here, whoever wrote it."""
