"""A study, from its submission over its rounds to its end, in a folder that it goes on from."""
