"""Global models on public pictures that the researcher holds out."""
