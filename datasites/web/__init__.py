"""HTTP at either port: bounds of size and pace, and errors that tell no more than they may."""
