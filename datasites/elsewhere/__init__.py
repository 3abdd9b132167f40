"""Decisions of other hospitals on the same plan, where they chose to tell: signed files that people hand on."""
