"""Kernels for a hospital's GPU, in Triton: what an engine and its noise compute there in few launches."""
