"""Kernels in the processes of runs: one compiles them before a run, the run's own read them."""
