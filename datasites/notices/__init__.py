"""Notices: what the hospital's people should know of, in the console, by e-mail and by webhook."""
