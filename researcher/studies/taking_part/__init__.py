"""Who takes part in a study: which hospitals its rounds go to, and whether they can do what they are asked."""
