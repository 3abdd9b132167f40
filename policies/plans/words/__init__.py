"""Words of researchers about their requests: shown as theirs, checked for form, never for truth."""
