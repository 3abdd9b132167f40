"""What researchers say of a request in words of their own: shown as theirs, checked for form, never for truth."""
