"""Files of a datasite: where each lies, and written whole for the hospital's own account only."""
