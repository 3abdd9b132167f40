"""Ways of being broken, each built into the real trainer by replacing a function of it, and what finds it."""
