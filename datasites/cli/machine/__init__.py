"""Commands about the machine that a datasite runs on. What they print is for the hospital's own people."""
