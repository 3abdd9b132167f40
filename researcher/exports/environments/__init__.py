"""Programs that run in a converter's own environment, each beside the closure that it is installed from."""
