"""Pages about what datasets may cost: budgets with their history, and the limits."""
