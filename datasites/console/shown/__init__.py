"""Answers of the console, as the hospital's terminal shows them."""
