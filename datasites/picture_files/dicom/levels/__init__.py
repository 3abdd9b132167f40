"""Levels from black to white, or of red, green and blue: what the stored values of a frame are shown as."""
