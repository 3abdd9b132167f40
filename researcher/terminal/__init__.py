"""A study or a count with somebody at the terminal: progress while it runs, tables and pages after it."""
