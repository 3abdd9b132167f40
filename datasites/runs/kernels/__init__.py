"""Compiled kernels for this hospital's GPUs: made before a run is closed in, kept between runs, told nowhere."""
