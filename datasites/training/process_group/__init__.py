"""Several processes that take each step of a run together."""
