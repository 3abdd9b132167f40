"""What follows from a decision on a code request, once it is recorded."""
