"""PySyft, narrowed to what the platform uses of it."""
