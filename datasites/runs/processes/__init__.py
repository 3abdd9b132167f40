"""The processes of a run: where they are forked, what they do, and the last that is heard of them."""
