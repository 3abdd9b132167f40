"""Deciders of code requests that are no person, as the books name them. They stay in the hospital."""

BY_RULE, HOSPITAL_ITSELF = "rule ", "the hospital"
"""How it begins where a rule decided, and what researchers read then; no person is called so, since no name has a
blank in it."""
