"""Strategies by which a part of the model stays at each hospital: the researcher's side averages the rest."""
