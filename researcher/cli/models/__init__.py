"""Commands about a model out of a study, in a file of its own: no command here asks a hospital."""
