"""What a datasite tells outside: one declared type for each answer, which it builds and a researcher's side reads."""
