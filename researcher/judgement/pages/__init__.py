"""A judgement on a page and in a notebook: sentences, tables, curves. Public numbers only."""
