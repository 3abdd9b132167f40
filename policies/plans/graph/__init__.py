"""A graph within a plan: an own model as the plan's text carries it."""
