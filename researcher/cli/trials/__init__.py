"""Commands that try a study before any hospital is asked. They see the researcher's own data alone."""
