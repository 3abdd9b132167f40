"""Commands about what is decided without a person, a file for each thing they are about."""
