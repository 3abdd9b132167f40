"""Pages on which the hospital decides: requests, the approval card, budgets, limits."""
