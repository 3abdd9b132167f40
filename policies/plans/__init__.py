"""What a code request may ask for: its plan, written out in every value, and the stub that carries it."""
