"""The processes of a run: where they are forked, what they do, and what is said of an error in them."""
