"""What may enter a run, what may leave it, and how it travels."""
