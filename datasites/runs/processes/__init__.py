"""The processes of runs: what goes into one and is let out of it, where it is forked, what it does, how it fails."""
