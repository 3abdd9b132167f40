"""A look at a source that changes nothing: what is there, what would be left out, and settings that would take it."""
