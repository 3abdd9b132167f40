"""Datasets as the hospital's people care for them: looked at, added to, patients taken out. None of it leaves."""
