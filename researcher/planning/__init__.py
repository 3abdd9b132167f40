"""From what a researcher wishes to a plan in which every value is written out."""
