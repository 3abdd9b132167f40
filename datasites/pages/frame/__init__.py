"""The frame of every page: look, languages, forms, sessions, and the way from a request to a page."""
