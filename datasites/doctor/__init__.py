"""The doctor: looks a datasite over and says what to do. Its findings are for the hospital's admin only."""
