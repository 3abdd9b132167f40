"""Rehearsals: each request runs a few steps on the mock twin, as a run would, before a person looks at it."""
