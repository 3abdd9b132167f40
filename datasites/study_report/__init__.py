"""Study reports: what a study brought and what its released updates give away, for the hospital's own people alone."""
