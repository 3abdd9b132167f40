"""What the hospital's people decided, and exactly what each decision covers."""
