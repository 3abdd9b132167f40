"""Rounds of a study, by what goes out to hospitals and what came of them."""
