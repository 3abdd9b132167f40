"""Workers of a simulation, in this process or on a Ray cluster. All data there are the researcher's own."""
