"""What every page of the console has: look, languages, forms, sessions, and how one request becomes one page."""
