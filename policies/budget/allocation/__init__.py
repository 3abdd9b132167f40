"""Random allocation: each privacy unit joins exactly one of an epoch's steps. Numbers only."""
