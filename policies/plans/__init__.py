"""Plans: what a code request asks for, written out in every value, and the stub that carries it."""
