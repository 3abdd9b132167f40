"""Overview of a graph, for people who decide on it: its blocks as a picture, and the built-in model it is like."""
