"""Exported models as whoever runs them needs them: what a file says of itself, and its probabilities. No torch here."""
